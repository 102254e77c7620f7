//! The user agent client: all calls over one transport, sans-IO.
//!
//! Datagrams and the time go in; datagrams ([`UserAgent::poll_transmit`]) and news
//! ([`UserAgent::poll_event`]) come out. What comes from an address that is neither a peer nor part
//! of a call is dropped and counted.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::message::header::Name;
use super::message::hop::Hop;
use super::message::message::{Message, Method, Request, Response};
use super::message::parse::ParseError;
use super::message::write::{Draft, answer_hop};
use crate::net::deadlines::Deadlines;
pub use call::{CallHandle, Invite, Kind, SipAnswer, SipEvent, Transmit};
use context::{Outbox, Outlet};
use leg::Leg;
use out_of_dialog::Asking;
pub use out_of_dialog::{Ask, Query};
use transaction::Timers;

/// What a caller answers to outside of a call.
const ALLOW: &str = "ACK, BYE, CANCEL, OPTIONS";

/// What was dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// From an address that has no business here.
    pub foreign: u64,
    /// Not a SIP message.
    pub garbage: u64,
    /// An answer to nothing that was asked.
    pub stray: u64,
}

/// The user agent.
pub struct UserAgent {
    outbox: Outbox,
    /// Makes the tags of answers outside of calls, the same for the same request.
    secret: u64,
    peers: HashSet<Hop>,
    legs: HashMap<CallHandle, Box<Leg>>,
    by_call_id: HashMap<Arc<str>, CallHandle>,
    deadlines: Deadlines<CallHandle>,
    /// The questions outside of any call: one or two a gateway.
    asking: HashMap<CallHandle, Asking>,
    last: u64,
    dropped: Dropped,
}

impl UserAgent {
    /// A user agent without calls. `user_agent` is the header field's value; `seed` makes tags and
    /// branches, and must not be guessable.
    pub fn new(user_agent: &str, timers: Timers, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        Self {
            secret: random.random(),
            outbox: Outbox {
                user_agent: user_agent.to_owned(),
                timers,
                random,
                transmits: VecDeque::new(),
                events: VecDeque::new(),
                answers: VecDeque::new(),
                authorizers: HashMap::new(),
                written: None,
            },
            peers: HashSet::new(),
            legs: HashMap::new(),
            by_call_id: HashMap::new(),
            deadlines: Deadlines::default(),
            asking: HashMap::new(),
            last: 0,
            dropped: Dropped::default(),
        }
    }

    /// The gateways: only they may ask anything outside of a call.
    pub fn set_peers(&mut self, peers: HashSet<Hop>) {
        self.peers = peers.into_iter().map(Hop::canonical).collect();
    }

    /// Places a call.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> CallHandle {
        self.last += 1;
        let handle = CallHandle(self.last);
        let tag = self.outbox.tag();
        let mut leg = Leg::start(invite, tag, &mut self.outbox.outlet(now, handle));
        note_deadline(&mut leg, handle, &mut self.deadlines);
        self.by_call_id.insert(Arc::clone(leg.call_id()), handle);
        self.legs.insert(handle, Box::new(leg));
        handle
    }

    /// Asks a gateway something outside of any call; [`UserAgent::poll_answer`] tells what became of it.
    pub fn ask(&mut self, now: Instant, query: Query) -> CallHandle {
        self.last += 1;
        let handle = CallHandle(self.last);
        let tag = self.outbox.tag();
        let asking = Asking::start(query, tag, &mut self.outbox.outlet(now, handle));
        self.asking.insert(handle, asking);
        handle
    }

    /// Gives up a call that is not answered; one that was answered meanwhile is hung up.
    pub fn cancel(&mut self, now: Instant, handle: CallHandle) {
        self.with_leg(now, handle, Leg::give_up);
    }

    /// Ends a call, answered or not.
    pub fn hang_up(&mut self, now: Instant, handle: CallHandle) {
        self.with_leg(now, handle, Leg::give_up);
    }

    /// A message of the call or question could not be sent. That ends a call whose gateway has not
    /// answered; later on repetition mends it.
    pub fn transport_failed(&mut self, now: Instant, handle: CallHandle) {
        self.with_leg(now, handle, Leg::transport_failed);
        self.with_asking(now, handle, Asking::transport_failed);
    }

    /// Takes a datagram. Never panics, whatever it holds. Gives the call or the question that it
    /// belongs to, if any.
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
                self.dropped.garbage += 1;
                return None;
            }
        };
        let call_id = match &message {
            Message::Request(request) => request.call_id(),
            Message::Response(response) => response.call_id(),
        };
        let known = self.by_call_id.get(call_id).copied();
        let handle = known.filter(|handle| {
            self.legs
                .get(handle)
                .is_some_and(|leg| leg.expects(from.address.ip()))
        });
        if handle.is_none() && !self.is_peer(from) {
            self.dropped.foreign += 1;
            return None;
        }
        match (message, handle) {
            (Message::Response(response), Some(handle)) => {
                let belongs = self.with_leg(now, handle, |leg, out| leg.answered(&response, out));
                if belongs != Some(true) {
                    self.dropped.stray += 1;
                }
            }
            (Message::Response(response), None) => {
                let asked = self.asked(now, from, &response);
                if asked.is_none() {
                    self.dropped.stray += 1;
                }
                return asked;
            }
            (Message::Request(request), handle) => {
                let taken = handle.and_then(|handle| {
                    self.with_leg(now, handle, |leg, out| leg.requested(&request, from, out))
                });
                if taken != Some(true) {
                    self.refuse(&request, from);
                }
            }
        }
        handle
    }

    /// Takes an answer that is to no call: the question that it is to.
    fn asked(&mut self, now: Instant, from: Hop, response: &Response) -> Option<CallHandle> {
        let call_id = response.call_id();
        let mut asking = self.asking.iter();
        let handle = asking
            .find(|(_, asking)| asking.call_id().as_ref() == call_id && asking.expects(from))
            .map(|(handle, _)| *handle)?;
        let belongs = self.with_asking(now, handle, |asking, out| asking.answered(response, out));
        belongs.filter(|belongs| *belongs).map(|_| handle)
    }

    fn with_asking<R>(
        &mut self,
        now: Instant,
        handle: CallHandle,
        act: impl FnOnce(&mut Asking, &mut Outlet<'_>) -> R,
    ) -> Option<R> {
        let asking = self.asking.get_mut(&handle)?;
        let result = act(asking, &mut self.outbox.outlet(now, handle));
        if asking.is_over() {
            self.asking.remove(&handle);
        }
        Some(result)
    }

    /// Whether that is a gateway. A connection may come from any of its ports.
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

    /// Answers what belongs to no call: we call, and are not called.
    fn refuse(&mut self, request: &Request, from: Hop) {
        let in_dialog = request.to_tag().is_some();
        let code = match request.method() {
            Method::Ack => return,
            Method::Options if !in_dialog => 200,
            Method::Cancel | Method::Bye | Method::Prack | Method::Update | Method::Info => 481,
            _ if in_dialog => 481,
            _ => 405,
        };
        let mut draft = Draft::answer(request, code, &self.stateless_tag(request), from.address);
        draft.field("Allow", ALLOW);
        self.outbox.transmits.push_back(Transmit {
            to: answer_hop(request, from),
            bytes: draft.bytes().into(),
            call: None,
            kind: Kind::Response(code),
            is_repeat: false,
        });
    }

    /// RFC 3261 §8.2.7: the same tag each time that the same request comes.
    fn stateless_tag(&self, request: &Request) -> String {
        let mut hasher = DefaultHasher::new();
        let via = request.value(Name::Via);
        (self.secret, request.call_id(), request.cseq(), via).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// The next datagram to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.transmits.pop_front()
    }

    /// The next news.
    pub fn poll_event(&mut self) -> Option<(CallHandle, SipEvent)> {
        self.outbox.events.pop_front()
    }

    /// What became of the next question.
    pub fn poll_answer(&mut self) -> Option<(CallHandle, SipAnswer)> {
        self.outbox.answers.pop_front()
    }

    /// When [`UserAgent::tick`] is due. It may turn out that nothing was.
    pub fn next_deadline(&self) -> Option<Instant> {
        let calls = self.deadlines.next();
        let asking = self.asking.values().map(Asking::deadline);
        calls.into_iter().chain(asking).min()
    }

    /// Takes the time.
    pub fn tick(&mut self, now: Instant) {
        let due = self.asking.iter().filter(|(_, a)| a.deadline() <= now);
        let due: Vec<CallHandle> = due.map(|(handle, _)| *handle).collect();
        for handle in due {
            self.with_asking(now, handle, Asking::tick);
        }
        loop {
            let due = self.deadlines.take_due(now);
            if due.is_empty() {
                return;
            }
            for (at, handle) in due {
                self.come(now, at, handle);
            }
        }
    }

    /// A deadline that was noted for a call has come.
    fn come(&mut self, now: Instant, at: Instant, handle: CallHandle) {
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
            note_deadline(leg, handle, &mut self.deadlines);
        }
    }

    /// The calls that are held, those included that are over and only answer what is repeated.
    pub fn legs(&self) -> usize {
        self.legs.len()
    }

    /// The calls of which the far end may still think that they go on: up, or with an INVITE or a
    /// BYE of ours unanswered. Looks at every call.
    pub fn unsettled(&self) -> usize {
        self.legs.values().filter(|leg| !leg.is_settled()).count()
    }

    /// About how many bytes the calls hold. Looks at every call.
    pub fn bytes_held(&self) -> usize {
        let legs: usize = self.legs.values().map(|leg| leg.bytes_held()).sum();
        let entry = size_of::<(CallHandle, Box<Leg>)>() + size_of::<(Arc<str>, CallHandle)>();
        let deadline = size_of::<(Instant, CallHandle)>();
        legs + self.legs.len() * entry + self.deadlines.len() * deadline
    }

    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    fn with_leg<R>(
        &mut self,
        now: Instant,
        handle: CallHandle,
        act: impl FnOnce(&mut Leg, &mut Outlet<'_>) -> R,
    ) -> Option<R> {
        let leg = self.legs.get_mut(&handle)?;
        let mut out = self.outbox.outlet(now, handle);
        let result = act(leg, &mut out);
        if leg.is_over() {
            self.by_call_id.remove(leg.call_id());
            self.legs.remove(&handle);
            self.release_room();
        } else {
            note_deadline(leg, handle, &mut self.deadlines);
        }
        Some(result)
    }

    /// Gives back what a rush of calls made the tables grow to, once they are nearly empty.
    fn release_room(&mut self) {
        if self.legs.capacity() > ROOM_KEPT && self.legs.len() < self.legs.capacity() / 8 {
            self.legs.shrink_to(ROOM_KEPT);
            self.by_call_id.shrink_to(ROOM_KEPT);
        }
    }
}

/// The calls that the tables have room for, however few there are.
const ROOM_KEPT: usize = 1024;

/// Notes the leg's next deadline, where that is sooner than what is noted.
fn note_deadline(leg: &mut Leg, handle: CallHandle, deadlines: &mut Deadlines<CallHandle>) {
    let Some(due) = leg.deadline() else {
        return;
    };
    if leg.scheduled.is_none_or(|noted| due < noted) {
        leg.scheduled = Some(due);
        deadlines.note(due, handle);
    }
}

pub(super) mod call;
pub(super) mod context;
pub mod dialog;
pub mod digest;
pub(super) mod leg;
pub(super) mod out_of_dialog;
pub mod registration;
#[cfg(test)]
mod tests;
pub mod transaction;
