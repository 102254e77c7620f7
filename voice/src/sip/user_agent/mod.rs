//! The user agent client (RFC 3261) for all calls of an endpoint, without I/O.
//!
//! It takes messages and the time, and returns messages ([`UserAgent::poll_transmit`]), call events
//! ([`UserAgent::poll_event`]), the outcomes of requests outside calls ([`UserAgent::poll_outcome`]) and names to look
//! up ([`UserAgent::poll_lookup`]).
//! Messages from an address that is neither a peer nor part of a call are dropped and counted.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::message::gateway_uri::GatewayUri;
use super::message::header::Name;
use super::message::hop::Hop;
use super::message::parse::ParseError;
use super::message::write::{Draft, response_hop};
use super::message::{Fields, Message, Method, Request, Response};
use crate::net::deadlines::Deadlines;
pub use call::{CallHandle, Invite, MessageKind, RequestOutcome, SipEvent, Transmit};
use context::{Context, SharedState};
use leg::Leg;
pub use next_hop::LOOKUP_TIMEOUT;
use next_hop::Lookups;
use out_of_dialog::PendingRequest;
pub use out_of_dialog::{RequestKind, RequestParams};
use transaction::Timers;

/// The methods that are accepted outside a call.
const ALLOW: &str = "ACK, BYE, CANCEL, OPTIONS";

/// The numbers of dropped messages, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts {
    /// From an address that is neither a peer nor part of a call.
    pub foreign: u64,
    /// Not a SIP message.
    pub garbage: u64,
    /// A response that matches no request.
    pub stray: u64,
}

/// The user agent client.
pub struct UserAgent {
    shared: SharedState,
    /// Keys the tags of responses outside calls, which are the same for a repeated request.
    secret: u64,
    peers: HashSet<Hop>,
    legs: HashMap<CallHandle, Box<Leg>>,
    by_call_id: HashMap<Arc<str>, CallHandle>,
    deadlines: Deadlines<CallHandle>,
    /// The requests outside calls: one or two for each gateway.
    requests: HashMap<CallHandle, PendingRequest>,
    last_handle: u64,
    drop_counts: DropCounts,
    odd_lines: u64,
}

impl UserAgent {
    /// A user agent without calls. `user_agent` is the value of the User-Agent field. `seed` determines tags
    /// and branches, and must not be guessable.
    pub fn new(user_agent: &str, timers: Timers, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        Self {
            secret: random.random(),
            shared: SharedState {
                user_agent: user_agent.to_owned(),
                timers,
                random,
                transmits: VecDeque::new(),
                events: VecDeque::new(),
                outcomes: VecDeque::new(),
                authorizers: HashMap::new(),
                lookups: Lookups::default(),
                local_text: None,
            },
            peers: HashSet::new(),
            legs: HashMap::new(),
            by_call_id: HashMap::new(),
            deadlines: Deadlines::default(),
            requests: HashMap::new(),
            last_handle: 0,
            drop_counts: DropCounts::default(),
            odd_lines: 0,
        }
    }

    /// Sets the gateways. Only they may send requests outside a call.
    pub fn set_peers(&mut self, peers: HashSet<Hop>) {
        self.peers = peers.into_iter().map(Hop::canonical).collect();
    }

    /// Places a call.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> CallHandle {
        let handle = self.next_handle();
        let tag = self.shared.tag();
        let mut leg = Leg::start(invite, tag, &mut self.shared.context(now, handle));
        self.deadlines.schedule(leg.deadline(), &mut leg.scheduled, handle);
        self.by_call_id.insert(Arc::clone(leg.call_id()), handle);
        self.legs.insert(handle, Box::new(leg));
        handle
    }

    /// Sends a request outside any call. [`UserAgent::poll_outcome`] returns its outcome.
    pub fn send_request(&mut self, now: Instant, params: RequestParams) -> CallHandle {
        let handle = self.next_handle();
        let tag = self.shared.tag();
        let request = PendingRequest::start(params, tag, &mut self.shared.context(now, handle));
        self.requests.insert(handle, request);
        handle
    }

    fn next_handle(&mut self) -> CallHandle {
        self.last_handle += 1;
        CallHandle(self.last_handle)
    }

    /// Ends a call: with CANCEL before the answer, with BYE after it.
    pub fn hang_up(&mut self, now: Instant, handle: CallHandle) {
        self.with_leg(now, handle, Leg::give_up);
    }

    /// Reports that a message of the call or request could not be sent. This ends a call whose gateway has
    /// not responded yet. Later messages are recovered by retransmission.
    pub fn transport_failed(&mut self, now: Instant, handle: CallHandle) {
        self.with_leg(now, handle, Leg::transport_failed);
        self.with_request(now, handle, PendingRequest::transport_failed);
    }

    /// Takes a received message. Never panics. Returns the call or request that it belongs to, if any.
    pub fn receive(
        &mut self,
        now: Instant,
        from: impl Into<Hop>,
        datagram: &[u8],
    ) -> Option<CallHandle> {
        let from = from.into();
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(ParseError::KeepAlive) => return None,
            Err(_) => {
                self.drop_counts.garbage += 1;
                return None;
            }
        };
        let fields: &Fields = match &message {
            Message::Request(request) => request,
            Message::Response(response) => response,
        };
        let odd_lines = fields.odd_lines();
        let known = self.by_call_id.get(fields.call_id()).copied();
        let handle = known.filter(|handle| {
            self.legs.get(handle).is_some_and(|leg| leg.accepts_from(from.address.ip()))
        });
        if handle.is_none() && !self.is_peer(from) {
            self.drop_counts.foreign += 1;
            return None;
        }
        self.odd_lines += odd_lines as u64;
        match (message, handle) {
            (Message::Response(response), Some(handle)) => {
                let is_matched =
                    self.with_leg(now, handle, |leg, cx| leg.handle_response(&response, cx));
                if is_matched != Some(true) {
                    self.drop_counts.stray += 1;
                }
            }
            (Message::Response(response), None) => {
                let request = self.handle_request_response(now, from, &response);
                if request.is_none() {
                    self.drop_counts.stray += 1;
                }
                return request;
            }
            (Message::Request(request), handle) => {
                let is_matched = handle.and_then(|handle| {
                    self.with_leg(now, handle, |leg, cx| leg.handle_request(&request, from, cx))
                });
                if is_matched != Some(true) {
                    self.respond_outside_call(&request, from);
                }
            }
        }
        handle
    }

    /// Takes a response outside any call. Returns the request that it belongs to.
    fn handle_request_response(
        &mut self,
        now: Instant,
        from: Hop,
        response: &Response,
    ) -> Option<CallHandle> {
        let call_id = response.call_id();
        let mut requests = self.requests.iter();
        let handle = requests
            .find(|(_, request)| {
                request.call_id().as_ref() == call_id && request.accepts_from(from)
            })
            .map(|(handle, _)| *handle)?;
        let is_matched =
            self.with_request(now, handle, |request, cx| request.handle_response(response, cx));
        is_matched.filter(|is_matched| *is_matched).map(|_| handle)
    }

    fn with_request<R>(
        &mut self,
        now: Instant,
        handle: CallHandle,
        act: impl FnOnce(&mut PendingRequest, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let request = self.requests.get_mut(&handle)?;
        let result = act(request, &mut self.shared.context(now, handle));
        if request.is_over() {
            self.requests.remove(&handle);
        }
        Some(result)
    }

    /// Whether `from` is a gateway. Connections may use any source port.
    fn is_peer(&self, from: Hop) -> bool {
        let from = from.canonical();
        match from.transport.is_reliable() {
            false => self.peers.contains(&from),
            true => {
                let ip = from.address.ip();
                self.peers.iter().any(|peer| peer.address.ip() == ip)
            }
        }
    }

    /// Responds to a request that belongs to no call. Incoming calls are not accepted.
    fn respond_outside_call(&mut self, request: &Request, from: Hop) {
        let in_dialog = request.to_tag().is_some();
        let code = match request.method() {
            Method::Ack => return,
            Method::Options if !in_dialog => 200,
            Method::Cancel | Method::Bye | Method::Prack | Method::Update | Method::Info => 481,
            _ if in_dialog => 481,
            _ => 405,
        };
        let mut draft = Draft::response(request, code, &self.stateless_tag(request), from.address);
        draft.field("Allow", ALLOW);
        self.shared.transmits.push_back(Transmit {
            to: response_hop(request, from),
            bytes: draft.bytes().into(),
            call: None,
            kind: MessageKind::Response(code),
            is_retransmission: false,
        });
    }

    /// The tag of a stateless response: the same for each repetition of a request (RFC 3261 §8.2.7).
    fn stateless_tag(&self, request: &Request) -> String {
        let mut hasher = DefaultHasher::new();
        let via = request.value(Name::Via);
        (self.secret, request.call_id(), request.cseq(), via).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.shared.transmits.pop_front()
    }

    /// The next event of a call.
    pub fn poll_event(&mut self) -> Option<(CallHandle, SipEvent)> {
        self.shared.events.pop_front()
    }

    /// The next outcome of a request outside calls.
    pub fn poll_outcome(&mut self) -> Option<(CallHandle, RequestOutcome)> {
        self.shared.outcomes.pop_front()
    }

    /// The next host name to look up. [`UserAgent::resolve`] takes its targets.
    pub fn poll_lookup(&mut self) -> Option<Arc<GatewayUri>> {
        self.shared.lookups.poll()
    }

    /// Takes the targets of a name of [`UserAgent::poll_lookup`], and sends the messages that wait for it: to the
    /// gateway if there is no usable target. A name that nothing waits for is ignored.
    pub fn resolve(&mut self, now: Instant, name: &GatewayUri, targets: &[Hop]) {
        let messages = self.shared.lookups.resolve(name, targets);
        let calls: HashSet<CallHandle> = messages.iter().filter_map(|sent| sent.call).collect();
        for call in calls {
            self.with_leg(now, call, |leg, _| leg.resolve(name, targets));
        }
        self.shared.transmits.extend(messages);
    }

    /// When to call [`UserAgent::tick`] next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let calls = self.deadlines.next();
        let requests = self.requests.values().map(PendingRequest::deadline);
        calls.into_iter().chain(requests).chain(self.shared.lookups.deadline()).min()
    }

    /// Runs the timers that are due.
    pub fn tick(&mut self, now: Instant) {
        while let Some(name) = self.shared.lookups.overdue(now) {
            self.resolve(now, &name, &[]);
        }
        let due = self.requests.iter().filter(|(_, r)| r.deadline() <= now);
        let due: Vec<CallHandle> = due.map(|(handle, _)| *handle).collect();
        for handle in due {
            self.with_request(now, handle, PendingRequest::tick);
        }
        loop {
            let due = self.deadlines.take_due(now);
            if due.is_empty() {
                return;
            }
            for (at, handle) in due {
                self.handle_timeout(now, at, handle);
            }
        }
    }

    /// Handles a scheduled deadline of a call. The call's own deadline may be later by now.
    fn handle_timeout(&mut self, now: Instant, at: Instant, handle: CallHandle) {
        let Some(leg) = self.legs.get_mut(&handle) else {
            return;
        };
        if leg.scheduled != Some(at) {
            return;
        }
        leg.scheduled = None;
        if leg.deadline().is_some_and(|due| due <= now) {
            self.with_leg(now, handle, Leg::tick);
        } else {
            self.deadlines.schedule(leg.deadline(), &mut leg.scheduled, handle);
        }
    }

    /// The number of calls, including those that only handle retransmissions.
    pub fn legs(&self) -> usize {
        self.legs.len()
    }

    /// The number of calls that the far end may consider active: answered, or with an unanswered INVITE or
    /// BYE of ours. Visits every call.
    pub fn unsettled(&self) -> usize {
        self.legs.values().filter(|leg| !leg.is_settled()).count()
    }

    /// The approximate memory of the calls in bytes. Visits every call.
    pub fn bytes_held(&self) -> usize {
        let legs: usize = self.legs.values().map(|leg| leg.bytes_held()).sum();
        let entry = size_of::<(CallHandle, Box<Leg>)>() + size_of::<(Arc<str>, CallHandle)>();
        let deadline = size_of::<(Instant, CallHandle)>();
        legs + self.legs.len() * entry + self.deadlines.len() * deadline
    }

    pub fn drop_counts(&self) -> DropCounts {
        self.drop_counts
    }

    /// The number of skipped lines in the received messages ([`Fields::odd_lines`]).
    pub fn odd_lines(&self) -> u64 {
        self.odd_lines
    }

    fn with_leg<R>(
        &mut self,
        now: Instant,
        handle: CallHandle,
        act: impl FnOnce(&mut Leg, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let leg = self.legs.get_mut(&handle)?;
        let result = act(leg, &mut self.shared.context(now, handle));
        if leg.is_over() {
            self.by_call_id.remove(leg.call_id());
            self.legs.remove(&handle);
            self.shrink();
        } else {
            self.deadlines.schedule(leg.deadline(), &mut leg.scheduled, handle);
        }
        Some(result)
    }

    /// Shrinks the tables once they are nearly empty after a burst of calls.
    fn shrink(&mut self) {
        if self.legs.capacity() > MIN_CAPACITY && self.legs.len() < self.legs.capacity() / 8 {
            self.legs.shrink_to(MIN_CAPACITY);
            self.by_call_id.shrink_to(MIN_CAPACITY);
        }
    }
}

/// The capacity that the tables keep.
const MIN_CAPACITY: usize = 1024;

mod bindings;
mod call;
mod context;
pub mod dialog;
pub mod digest;
mod leg;
mod next_hop;
mod out_of_dialog;
pub mod registration;
#[cfg(test)]
mod tests;
pub mod transaction;
