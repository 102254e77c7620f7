//! A SIP user agent server for many calls (RFC 3261 §8.2, §12, §13.3, §15, §17.2), without sockets
//! or clock: it receives datagrams and the time, and returns [`Action`]s.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nexo_domain::phone::Phone;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::action::{Action, Datagram};
use super::call::{Call, Step};
use super::dialog::{self, CalleeLeg, new_tag};
use super::finished_transactions::FinishedTransactions;
use super::live_call::LiveCall;
use crate::sandbox::behaviour::{Behaviour, Script, Then, parse_phone};
use crate::sandbox::events::{CallId, CallNumber, EndedCall, SandboxEvent};
use crate::sip::message::write::response_hop;
use crate::sip::message::{Message, Method, Request, Response};
use crate::sip::sdp;

/// The most calls in progress or just finished; further ones are rejected.
const MAX_CALLS: usize = 50_000;

/// The callee of all calls.
pub(crate) struct Callee {
    ring: Duration,
    calls: HashMap<CallNumber, LiveCall>,
    by_invite: HashMap<u64, CallNumber>,
    by_dialog: HashMap<u64, CallNumber>,
    finished: FinishedTransactions,
    timers: BinaryHeap<Reverse<(Instant, CallNumber)>>,
    actions: VecDeque<Action>,
    key_hasher: RandomState,
    random: StdRng,
    last_call: CallNumber,
}

impl Callee {
    /// Creates a callee whose phones ring for `ring`. `seed` determines its tags and branches.
    pub fn new(ring: Duration, seed: u64) -> Callee {
        Callee {
            ring,
            calls: HashMap::new(),
            by_invite: HashMap::new(),
            by_dialog: HashMap::new(),
            finished: FinishedTransactions::default(),
            timers: BinaryHeap::new(),
            actions: VecDeque::new(),
            key_hasher: RandomState::new(),
            random: StdRng::seed_from_u64(seed),
            last_call: 0,
        }
    }

    /// Handles a datagram. Anything but SIP is ignored.
    pub fn receive(&mut self, datagram: &Datagram<'_>, now: Instant) {
        match Message::parse(datagram.bytes) {
            Ok(Message::Request(request)) => self.handle_request(request, datagram, now),
            Ok(Message::Response(response)) => self.handle_response(&response, now),
            Err(error) => tracing::debug!(source = %datagram.source, %error, "not SIP"),
        }
    }

    /// Returns the next action.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The time of the next [`Callee::tick`].
    pub fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        timer.into_iter().chain(self.finished.deadline()).min()
    }

    /// Runs expired timers.
    pub fn tick(&mut self, now: Instant) {
        self.finished.tick(now);
        while let Some(Reverse((at, number))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            let Some(call) = self.calls.get_mut(&number) else {
                continue;
            };
            call.scheduled = None;
            let due = call.machine.deadline().is_some_and(|at| at <= now);
            let steps = if due { call.machine.tick(now) } else { Vec::new() };
            self.perform_steps(number, steps, now);
        }
    }

    /// Continues a call after [`Action::OpenMedia`]. `address` is that of its audio, or `None` if
    /// there is no socket.
    pub fn media_opened(&mut self, number: CallNumber, address: Option<SocketAddr>, now: Instant) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.media = address;
            let steps = call.machine.media_opened(address.is_some(), now);
            self.perform_steps(number, steps, now);
        }
    }

    /// Ends every call.
    pub fn shut_down(&mut self, now: Instant) {
        let numbers: Vec<_> = self.calls.keys().copied().collect();
        for number in numbers {
            self.with_call(number, now, |call| call.shut_down(now));
        }
    }

    fn handle_request(&mut self, request: Request, datagram: &Datagram<'_>, now: Instant) {
        let transaction = self.transaction_key(&request, request.method());
        if let Some(answer) = self.finished.response_to(transaction) {
            if !answer.is_empty() {
                let bytes = answer.to_vec();
                self.send(&request, datagram, bytes);
            }
            return;
        }
        let own_tag = request.to_tag().unwrap_or_default();
        let their_tag = request.from_tag().unwrap_or_default();
        let dialog_key = self.dialog_key(request.call_id(), own_tag, their_tag);
        let call = self.by_dialog.get(&dialog_key).copied();
        match (request.method(), call) {
            (Method::Ack, _) => self.handle_ack(&request, call, now),
            (Method::Cancel, _) => self.handle_cancel(&request, datagram, now),
            (Method::Invite, _) if own_tag.is_empty() => self.handle_invite(request, datagram, now),
            (_, None) if !own_tag.is_empty() => self.respond(&request, datagram, 481),
            (Method::Bye, Some(number)) => {
                self.confirm(number, &request, datagram, now);
                self.with_call(number, now, |call| call.hung_up(now));
            }
            (Method::Bye, None) => self.respond(&request, datagram, 481),
            (Method::Options, _) => self.respond(&request, datagram, 200),
            // The session is not changed.
            (Method::Invite, _) => self.respond(&request, datagram, 488),
            (
                Method::Register
                | Method::Prack
                | Method::Update
                | Method::Info
                | Method::Refer
                | Method::Notify
                | Method::Subscribe
                | Method::Message
                | Method::Other,
                _,
            ) => self.respond(&request, datagram, 405),
        }
    }

    fn handle_invite(&mut self, request: Request, datagram: &Datagram<'_>, now: Instant) {
        let invite_key = self.transaction_key(&request, Method::Invite);
        if let Some(number) = self.by_invite.get(&invite_key).copied() {
            return self.with_call(number, now, |call| call.invite_retransmitted());
        }
        if self.calls.len() >= MAX_CALLS {
            return self.respond(&request, datagram, 503);
        }
        let call_id = CallId::from(request.call_id());
        let phone = phone_dialled(&request);
        self.last_call += 1;
        let number = self.last_call;
        if let Some(phone) = phone {
            let call_id = call_id.clone();
            let invited = SandboxEvent::Invited { call_id, phone };
            self.actions.push_back(Action::Report(invited));
        }
        if let Some(phone) = phone.filter(|phone| Behaviour::of(*phone) == Behaviour::Silent) {
            self.finished.remember(invite_key, b"", now);
            self.actions.push_back(Action::Ended(EndedCall {
                call: number,
                call_id,
                phone,
                answered: false,
                talk_time: Duration::ZERO,
            }));
            return;
        }
        let offer = sdp::read(request.body()).ok();
        let (machine, steps) = Call::invited(script_for(phone, offer.is_some(), self.ring), now);
        let tag = new_tag(&mut self.random);
        let their_tag = request.from_tag().unwrap_or_default();
        let dialog_key = self.dialog_key(&call_id, &tag, their_tag);
        let call = LiveCall {
            number,
            machine,
            call_id,
            phone,
            offer,
            leg: CalleeLeg::new(request, datagram.source, datagram.local, tag),
            invite_key,
            dialog_key,
            media: None,
            last_response: Vec::new(),
            bye: Vec::new(),
            scheduled: None,
        };
        self.calls.insert(number, call);
        self.by_invite.insert(invite_key, number);
        self.by_dialog.insert(dialog_key, number);
        self.perform_steps(number, steps, now);
    }

    /// An ACK for a failure has the INVITE's branch, an ACK for a 200 its own.
    fn handle_ack(&mut self, request: &Request, in_dialog: Option<CallNumber>, now: Instant) {
        let invite_key = self.transaction_key(request, Method::Invite);
        let number = self.by_invite.get(&invite_key).copied().or(in_dialog);
        let Some(number) = number else { return };
        let is_for_invite = |call: &LiveCall| call.leg.invite_cseq() == request.cseq();
        if self.calls.get(&number).is_some_and(is_for_invite) {
            self.with_call(number, now, |call| call.acknowledged(now));
        }
    }

    fn handle_cancel(&mut self, request: &Request, datagram: &Datagram<'_>, now: Instant) {
        let invite_key = self.transaction_key(request, Method::Invite);
        let Some(number) = self.by_invite.get(&invite_key).copied() else {
            if phone_dialled(request).map(Behaviour::of) != Some(Behaviour::Silent) {
                self.respond(request, datagram, 481);
            }
            return;
        };
        self.confirm(number, request, datagram, now);
        self.with_call(number, now, |call| call.cancelled(now));
    }

    fn handle_response(&mut self, response: &Response, now: Instant) {
        if response.cseq_method() != Method::Bye {
            return;
        }
        let own_tag = response.from_tag().unwrap_or_default();
        let their_tag = response.to_tag().unwrap_or_default();
        let key = self.dialog_key(response.call_id(), own_tag, their_tag);
        if let Some(number) = self.by_dialog.get(&key).copied() {
            let code = response.code();
            self.with_call(number, now, |call| call.bye_answered(code));
        }
    }

    fn with_call(
        &mut self,
        number: CallNumber,
        now: Instant,
        input: impl FnOnce(&mut Call) -> Vec<Step>,
    ) {
        if let Some(call) = self.calls.get_mut(&number) {
            let steps = input(&mut call.machine);
            self.perform_steps(number, steps, now);
        }
    }

    fn perform_steps(&mut self, number: CallNumber, steps: Vec<Step>, now: Instant) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        for step in steps {
            if step == Step::Forget {
                self.finished.remember(call.invite_key, b"", now);
                self.by_invite.remove(&call.invite_key);
                self.by_dialog.remove(&call.dialog_key);
                self.calls.remove(&number);
                return;
            }
            call.perform(step, &mut self.random, &mut self.actions);
        }
        if let Some(at) = call.take_next_timer() {
            self.timers.push(Reverse((at, number)));
        }
    }

    /// Sends a response without storing it: a retransmission gets the same response again.
    fn respond(&mut self, request: &Request, datagram: &Datagram<'_>, code: u16) {
        let tag = new_tag(&mut self.random);
        let bytes = dialog::response_to(request, code, &tag, datagram.source);
        self.send(request, datagram, bytes);
    }

    /// Sends a 200, and stores it for retransmissions of the request.
    fn confirm(
        &mut self,
        number: CallNumber,
        request: &Request,
        datagram: &Datagram<'_>,
        now: Instant,
    ) {
        let tag = self.calls.get(&number).map_or("", |call| call.leg.tag());
        let bytes = dialog::response_to(request, 200, tag, datagram.source);
        let transaction = self.transaction_key(request, request.method());
        self.finished.remember(transaction, &bytes, now);
        self.send(request, datagram, bytes);
    }

    fn send(&mut self, request: &Request, datagram: &Datagram<'_>, bytes: Vec<u8>) {
        let to = response_hop(request, datagram.source.into()).address;
        self.actions.push_back(Action::Send { to, bytes });
    }

    /// RFC 3261 §17.2.3: the topmost branch, its sent-by, and the method; also the Call-ID, for
    /// callers whose branches are not unique.
    fn transaction_key(&self, request: &Request, method: Method) -> u64 {
        let via = request.via();
        let branch = via.and_then(|via| via.branch());
        let sent_by = via.map(|via| via.sent_by);
        self.key_hasher.hash_one((branch, sent_by, method, request.call_id()))
    }

    fn dialog_key(&self, call_id: &str, own_tag: &str, their_tag: &str) -> u64 {
        self.key_hasher.hash_one((call_id, own_tag, their_tag))
    }
}

fn phone_dialled(request: &Request) -> Option<Phone> {
    dialog::dialled(request).find_map(|user| parse_phone(&user))
}

/// Returns the script of the number: 404 if the number is invalid, 488 if no audio can be
/// exchanged.
fn script_for(phone: Option<Phone>, has_offer: bool, ring: Duration) -> Script {
    let reject = |code| Script {
        trying: false,
        ringing: false,
        then: Then::Reject { after: Duration::ZERO, code, retry_after_seconds: None },
    };
    let Some(phone) = phone else {
        return reject(404);
    };
    let script = Behaviour::of(phone).script(ring);
    match script.then {
        Then::Answer { .. } if !has_offer => reject(488),
        Then::Answer { .. } | Then::Reject { .. } | Then::Nothing => script,
    }
}

#[cfg(test)]
mod tests;
