//! The user agent client: all calls over one transport, sans-IO.
//!
//! Datagrams and the time go in; datagrams ([`UserAgent::poll_transmit`]) and news
//! ([`UserAgent::poll_event`]) come out. What comes from an address that is neither a peer nor part
//! of a call is dropped and counted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::leg::{ALLOW, Leg, Outlet};
use super::message::{Message, Method, Request};
use super::transaction::Timers;
use super::write::{Draft, answer_address};

/// One call of a user agent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallHandle(u64);

/// A call to be placed. Every URI is a whole `sip:` URI without brackets.
#[derive(Clone, Debug)]
pub struct Invite {
    /// Unique; no other call of this user agent has it.
    pub call_id: String,
    /// Where the INVITE is sent.
    pub gateway: SocketAddr,
    /// Our address as the gateway is to see it.
    pub local: SocketAddr,
    pub request_uri: String,
    pub from_uri: String,
    pub to_uri: String,
    pub sdp: Vec<u8>,
    /// How long the gateway may say nothing at all: a short timer B.
    pub gateway_timeout: Duration,
}

/// News of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SipEvent {
    /// A 1xx.
    Provisional { code: u16 },
    /// The first 2xx; it has been acknowledged.
    Answered { code: u16, sdp: Vec<u8> },
    /// A final answer of 300 or more. A 3xx is never followed.
    Rejected {
        code: u16,
        retry_after_seconds: Option<u32>,
    },
    /// No answer of any kind within the gateway's time. What still comes late is cancelled, or
    /// acknowledged and hung up.
    Silent,
    /// The far end hung up the answered call.
    RemoteHungUp,
    /// The INVITE could not be sent.
    TransportFailed,
}

/// A datagram to be sent.
#[derive(Clone, Debug)]
pub struct Transmit {
    pub to: SocketAddr,
    pub bytes: Arc<[u8]>,
    /// The call that it is of, if any.
    pub call: Option<CallHandle>,
}

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
    user_agent: String,
    timers: Timers,
    random: StdRng,
    peers: HashSet<SocketAddr>,
    legs: HashMap<CallHandle, Leg>,
    by_call_id: HashMap<String, CallHandle>,
    deadlines: BinaryHeap<Reverse<(Instant, CallHandle)>>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<(CallHandle, SipEvent)>,
    last: u64,
    dropped: Dropped,
}

impl UserAgent {
    /// A user agent without calls. `user_agent` is the header field's value; `seed` makes tags and
    /// branches.
    pub fn new(user_agent: &str, timers: Timers, seed: u64) -> Self {
        Self {
            user_agent: user_agent.to_owned(),
            timers,
            random: StdRng::seed_from_u64(seed),
            peers: HashSet::new(),
            legs: HashMap::new(),
            by_call_id: HashMap::new(),
            deadlines: BinaryHeap::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            last: 0,
            dropped: Dropped::default(),
        }
    }

    /// The gateways: only they may ask anything outside of a call.
    pub fn set_peers(&mut self, peers: HashSet<SocketAddr>) {
        self.peers = peers;
    }

    /// Places a call.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> CallHandle {
        self.last += 1;
        let handle = CallHandle(self.last);
        let tag = token(&mut self.random);
        let leg = self.with_outlet(now, handle, |out| Leg::start(invite, tag, out));
        self.by_call_id.insert(leg.call_id().to_owned(), handle);
        self.legs.insert(handle, leg);
        self.schedule(handle);
        handle
    }

    /// Gives up a call that is not answered.
    pub fn cancel(&mut self, now: Instant, handle: CallHandle) {
        self.with_leg(now, handle, Leg::cancel);
    }

    /// Ends a call, answered or not.
    pub fn hang_up(&mut self, now: Instant, handle: CallHandle) {
        self.with_leg(now, handle, Leg::hang_up);
    }

    /// The call's messages could not be sent.
    pub fn transport_failed(&mut self, now: Instant, handle: CallHandle) {
        self.with_leg(now, handle, Leg::transport_failed);
    }

    /// Takes a datagram. Never panics, whatever it holds.
    pub fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(_) => {
                self.dropped.garbage += 1;
                return;
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
                .is_some_and(|leg| leg.expects(from.ip()))
        });
        if handle.is_none() && !self.peers.contains(&from) {
            self.dropped.foreign += 1;
            return;
        }
        match (message, handle) {
            (Message::Response(response), Some(handle)) => {
                let belongs = self.with_leg(now, handle, |leg, out| leg.answered(&response, out));
                if belongs != Some(true) {
                    self.dropped.stray += 1;
                }
            }
            (Message::Response(_), None) => self.dropped.stray += 1,
            (Message::Request(request), handle) => {
                let taken = handle.and_then(|handle| {
                    self.with_leg(now, handle, |leg, out| leg.requested(&request, from, out))
                });
                if taken != Some(true) {
                    self.refuse(&request, from);
                }
            }
        }
    }

    /// Answers what belongs to no call: we call, and are not called.
    fn refuse(&mut self, request: &Request, from: SocketAddr) {
        let in_dialog = request.to_tag().is_some();
        let code = match request.method() {
            Method::Ack => return,
            Method::Options if !in_dialog => 200,
            Method::Cancel | Method::Bye | Method::Prack | Method::Update | Method::Info => 481,
            _ if in_dialog => 481,
            _ => 405,
        };
        let tag = token(&mut self.random);
        let mut draft = Draft::answer(request, code, &tag, from);
        draft.field("Allow", ALLOW);
        self.transmits.push_back(Transmit {
            to: answer_address(request, from),
            bytes: draft.bytes().into(),
            call: None,
        });
    }

    /// The next datagram to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next news.
    pub fn poll_event(&mut self) -> Option<(CallHandle, SipEvent)> {
        self.events.pop_front()
    }

    /// When [`UserAgent::tick`] is due. It may turn out that nothing was.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the time.
    pub fn tick(&mut self, now: Instant) {
        while let Some(Reverse((at, handle))) = self.deadlines.peek().copied() {
            if at > now {
                break;
            }
            self.deadlines.pop();
            let Some(leg) = self.legs.get_mut(&handle) else {
                continue;
            };
            if leg.scheduled != Some(at) {
                continue;
            }
            leg.scheduled = None;
            if leg.deadline().is_some_and(|due| due <= now) {
                self.with_leg(now, handle, Leg::tick);
            } else {
                self.schedule(handle);
            }
        }
    }

    /// The calls that are held, those included that are over and only answer what is repeated.
    pub fn legs(&self) -> usize {
        self.legs.len()
    }

    /// About how many bytes the calls hold.
    pub fn bytes_held(&self) -> usize {
        let each = size_of::<(CallHandle, Leg)>() + 96;
        let legs: usize = self.legs.values().map(Leg::bytes_held).sum();
        legs + self.legs.len() * (each - size_of::<Leg>())
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
        let mut leg = self.legs.remove(&handle)?;
        let result = self.with_outlet(now, handle, |out| act(&mut leg, out));
        if leg.is_over() {
            self.by_call_id.remove(leg.call_id());
        } else {
            self.legs.insert(handle, leg);
            self.schedule(handle);
        }
        Some(result)
    }

    fn with_outlet<R>(
        &mut self,
        now: Instant,
        handle: CallHandle,
        act: impl FnOnce(&mut Outlet<'_>) -> R,
    ) -> R {
        let (transmits, events, random) = (&mut self.transmits, &mut self.events, &mut self.random);
        act(&mut Outlet {
            send: &mut |to, bytes| {
                let call = Some(handle);
                transmits.push_back(Transmit { to, bytes, call });
            },
            tell: &mut |event| events.push_back((handle, event)),
            // RFC 3261 §8.1.1.7: the cookie says that the branch is unique.
            branch: &mut || format!("z9hG4bK{}", token(random)),
            user_agent: &self.user_agent,
            timers: self.timers,
            now,
        })
    }

    /// Notes the leg's next deadline, where that is sooner than what is noted.
    fn schedule(&mut self, handle: CallHandle) {
        let Some(leg) = self.legs.get_mut(&handle) else {
            return;
        };
        let Some(due) = leg.deadline() else {
            return;
        };
        if leg.scheduled.is_none_or(|noted| due < noted) {
            leg.scheduled = Some(due);
            self.deadlines.push(Reverse((due, handle)));
        }
    }
}

/// 64 random bits as hex text.
fn token(random: &mut StdRng) -> String {
    format!("{:016x}", random.random::<u64>())
}

#[cfg(test)]
mod tests;
