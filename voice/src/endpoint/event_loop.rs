//! The endpoint's thread: everything that happens to calls happens here, one thing after another.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexo_domain::call::{Call, CallEffect, CallEnd, CallInput};
use nix::errno::Errno;
use tokio::sync::{mpsc, oneshot};

use super::inbox::{Order, Post};
use super::live_call::{LiveCall, unix_ms};
use super::meters::Meters;
use super::out_of_dialog::Question;
use super::trace::{Direction, Trace, Traced, outline};
use super::wire::{Wire, Woken};
use super::{CallNews, CallOrder, Caller, Shared};
use crate::net::deadlines::Deadlines;
use crate::net::streams::StreamEvent;
use crate::rtp::send::clock::{Keys, MediaEvent, Play, StreamId};
use crate::rtp::srtp::{MasterKey, Suite};
use crate::sip::message::hop::Hop;
use crate::sip::sdp::sdes::Crypto;
use crate::sip::sdp::sdp;
use crate::sip::sdp::sdp::{Audio, CryptoLines};
use crate::sip::user_agent::dialog;
use crate::sip::user_agent::{Ask, CallHandle, Invite, Query, SipAnswer, SipEvent, UserAgent};
use crate::speech::prompts::{FRAME_MS, Mark};

/// The most calls at a time; more are refused at once, as if the gateway could not be reached.
const MOST_CALLS: usize = 50_000;
/// The most batches of datagrams that are taken before anything else has its turn.
const BATCHES_A_TURN: usize = 4;

pub(super) struct Desk<'a> {
    wire: Wire<'a>,
    shared: &'a mut Shared,
    agent: UserAgent,
    calls: HashMap<CallHandle, LiveCall>,
    by_number: HashMap<u64, CallHandle>,
    by_stream: HashMap<StreamId, CallHandle>,
    /// Who waits for the answers to what.
    asked: HashMap<CallHandle, oneshot::Sender<SipAnswer>>,
    deadlines: Deadlines<CallHandle>,
    /// Of the calls whose messages somebody wants to see: the test calls of an engineer.
    traces: HashMap<CallHandle, Trace>,
    post: Post,
    meters: Meters,
    closing: Option<Closing>,
}

/// The end is near: nothing new is begun, and the far ends are waited for.
struct Closing {
    until: Instant,
    /// Nobody waits when the last handle was simply dropped.
    done: Option<oneshot::Sender<()>>,
}

/// Under load the thread takes what comes in this time together: a wake-up costs more than a message.
const SHORTEST_TURN: Duration = Duration::from_millis(4);

/// Our payload type for key events: the usual one of those that are free (RFC 3551 §6).
const TELEPHONE_EVENT: u8 = 101;

/// What is said at once.
#[derive(Clone, Copy)]
enum Saying {
    /// That a key brings the code.
    Invitation,
    Code,
    /// The code anew, for the n-th time.
    Again(u8),
}

/// How long the last handle's drop leaves for BYE to be answered.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl<'a> Desk<'a> {
    pub fn new(wire: Wire<'a>, shared: &'a mut Shared) -> Self {
        let config = &shared.config;
        let mut agent = UserAgent::new(&config.user_agent, config.timers, rand::random());
        agent.set_peers(shared.peers.clone());
        Self {
            wire,
            shared,
            agent,
            calls: HashMap::new(),
            by_number: HashMap::new(),
            by_stream: HashMap::new(),
            asked: HashMap::new(),
            deadlines: Deadlines::default(),
            traces: HashMap::new(),
            post: Post::default(),
            meters: Meters::new(),
            closing: None,
        }
    }

    /// Runs until it is told to shut down, or until every handle is gone. Gives whom to tell once the
    /// sockets are closed too.
    pub fn run(mut self) -> Option<oneshot::Sender<()>> {
        let mut woken = Woken::Readable;
        let mut last_turn = Instant::now();
        loop {
            let since = last_turn.elapsed();
            if since < SHORTEST_TURN && woken != Woken::More {
                std::thread::sleep(SHORTEST_TURN - since);
            }
            last_turn = Instant::now();
            self.take_post();
            let mut more = woken != Woken::Otherwise;
            for _ in 0..BATCHES_A_TURN {
                more = more && self.receive();
            }
            self.tick();
            self.pump();
            if self.is_done() {
                break;
            }
            woken = match more {
                true => Woken::More,
                false => self.sleep(),
            };
        }
        self.closing.take().and_then(|closing| closing.done)
    }

    fn sleep(&self) -> Woken {
        if self.shared.mailbox.is_to_stay_awake() && self.closing.is_none() {
            return Woken::Otherwise;
        }
        let calls = self.deadlines.next();
        let closing = self.closing.as_ref().map(|closing| closing.until);
        let due = calls.into_iter().chain(self.agent.next_deadline());
        let woken = self.wire.sleep(due.chain(closing).min());
        self.shared.mailbox.woken();
        woken
    }

    fn take_post(&mut self) {
        let mut post = std::mem::take(&mut self.post);
        self.shared.mailbox.take(&mut post);
        for order in post.orders.drain(..) {
            self.obey(order);
        }
        for event in post.media.drain(..) {
            self.heard(event);
        }
        for event in post.streams.drain(..) {
            self.streamed(event);
        }
        self.post = post;
        if self.shared.mailbox.is_closed() && self.closing.is_none() {
            self.begin_to_close(Instant::now() + LAST_WORDS, None);
        }
    }

    fn streamed(&mut self, event: StreamEvent) {
        let now = Instant::now();
        match event {
            StreamEvent::Received { from, message } => {
                let call = self.agent.receive(now, from, &message);
                self.trace_received(call, now, from, &message);
            }
            StreamEvent::Failed { token } => {
                self.meters.send_error();
                if let Some(call) = token.map(CallHandle::of_token) {
                    self.agent.transport_failed(now, call);
                }
            }
        }
    }

    fn trace_received(&self, call: Option<CallHandle>, at: Instant, from: Hop, message: &[u8]) {
        if let Some(trace) = call.and_then(|call| self.traces.get(&call)) {
            // Nobody may look any more.
            let _ = trace.send(Traced {
                at,
                direction: Direction::Received,
                peer: from,
                what: outline(message),
                is_repeat: false,
            });
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Place { call, order, news } => self.place(call, order, news),
            Order::Abandon(call) => {
                if let Some(handle) = self.by_number.get(&call).copied() {
                    self.step(handle, CallInput::Abandoned);
                }
            }
            Order::Ask { question, reply } => self.ask(*question, reply),
            Order::SetPeers(peers) => {
                self.shared.peers.clone_from(&peers);
                self.agent.set_peers(peers);
            }
            Order::Shutdown { until, done } => {
                self.shared.mailbox.close();
                self.begin_to_close(until, Some(done));
            }
            #[cfg(test)]
            Order::Panic => panic!("provoked by a test"),
        }
    }

    fn begin_to_close(&mut self, until: Instant, done: Option<oneshot::Sender<()>>) {
        let handles: Vec<CallHandle> = self.calls.keys().copied().collect();
        for handle in handles {
            self.step(handle, CallInput::Abandoned);
        }
        self.closing = Some(Closing { until, done });
    }

    /// Whether the thread may end: it is to, and every far end knows, or has had its time.
    fn is_done(&self) -> bool {
        let closing = self.closing.as_ref();
        closing.is_some_and(|c| c.until <= Instant::now() || self.agent.unsettled() == 0)
    }

    fn place(&mut self, number: u64, order: Box<CallOrder>, news: mpsc::UnboundedSender<CallNews>) {
        if self.calls.len() >= MOST_CALLS || self.closing.is_some() {
            // Dropping its news ends the call.
            return;
        }
        // The process may have stood still since the call was ordered.
        if order
            .permit
            .as_ref()
            .is_some_and(|permit| !permit.may_dial())
        {
            return;
        }
        let now = Instant::now();
        let local = self.wire.local_for(order.gateway, &self.shared.config);
        let stream = self.shared.clock.reserve();
        let offer = Audio {
            rtp: SocketAddr::new(local.ip(), stream.rtp_port),
            rtcp: SocketAddr::new(local.ip(), stream.rtcp_port),
            codecs: order.codecs.clone(),
            telephone_event: Some(TELEPHONE_EVENT),
            crypto: match order.srtp {
                true => offered_keys(),
                false => CryptoLines::default(),
            },
        };
        let uri = format!("sip:{}@{}", order.number, order.gateway_host);
        let invite = Invite {
            call_id: order.call_id.clone(),
            gateway: order.gateway,
            credentials: order.credentials.clone(),
            local,
            to_uri: uri.clone(),
            request_uri: uri,
            from_uri: order.caller.uri(local),
            fields: order.caller.fields(local),
            sdp: sdp::write(&offer, unix_ms() as u64).into_bytes(),
            gateway_timeout: order.gateway_timeout,
        };
        let trace = order.trace.clone();
        let tally = self.meters.tally(order.counted_as);
        let machine = Call::dial(order.limits, now);
        let call = LiveCall::new(number, machine, order, stream, offer, news, tally);
        call.tell(CallNews::Dialled);
        let handle = self.agent.invite(now, invite);
        if let Some(trace) = trace {
            self.traces.insert(handle, trace);
        }
        self.by_number.insert(number, handle);
        self.by_stream.insert(stream.stream, handle);
        self.calls.insert(handle, call);
        self.show_in_progress();
        self.schedule(handle);
        self.meters.placed(tally);
    }

    fn ask(&mut self, question: Question, reply: oneshot::Sender<SipAnswer>) {
        let local = self.wire.local_for(question.gateway, &self.shared.config);
        let (host, domain) = (&question.gateway_host, &question.gateway_domain);
        let (request_uri, own) = match &question.ask {
            Ask::Options => (
                format!("sip:{host}"),
                Caller::showing(dialog::USER).uri(local),
            ),
            // RFC 3261 §10.2: the registrar's domain, and the address that is registered.
            Ask::Register { user, .. } => (format!("sip:{host}"), format!("sip:{user}@{domain}")),
        };
        let to_uri = match &question.ask {
            Ask::Options => request_uri.clone(),
            Ask::Register { .. } => own.clone(),
        };
        let query = Query {
            ask: question.ask,
            call_id: question.call_id,
            cseq: question.cseq,
            gateway: question.gateway,
            credentials: question.credentials,
            local,
            request_uri,
            from_uri: own,
            to_uri,
            timeout: question.timeout,
        };
        let handle = self.agent.ask(Instant::now(), query);
        if let Some(trace) = question.trace {
            self.traces.insert(handle, trace);
        }
        self.asked.insert(handle, reply);
    }

    /// Takes a batch of datagrams; whether there may be more.
    fn receive(&mut self) -> bool {
        let more = self.wire.receive();
        let now = Instant::now();
        for (datagram, from) in self.wire.received() {
            let call = self.agent.receive(now, from, datagram);
            if let Some(trace) = call.and_then(|call| self.traces.get(&call)) {
                // Nobody may look any more.
                let _ = trace.send(Traced {
                    at: now,
                    direction: Direction::Received,
                    peer: from.into(),
                    what: outline(datagram),
                    is_repeat: false,
                });
            }
        }
        more
    }

    /// Hands on what the user agent has to say and to send.
    fn pump(&mut self) {
        loop {
            while let Some((handle, event)) = self.agent.poll_event() {
                self.told(handle, event);
            }
            while let Some((handle, answer)) = self.agent.poll_answer() {
                self.traces.remove(&handle);
                if let Some(reply) = self.asked.remove(&handle) {
                    // Nobody may wait any more.
                    let _ = reply.send(answer);
                }
            }
            let mut is_quiet = true;
            while let Some(transmit) = self.agent.poll_transmit() {
                if let Some(trace) = transmit.call.and_then(|call| self.traces.get(&call)) {
                    let _ = trace.send(Traced {
                        at: Instant::now(),
                        direction: Direction::Sent,
                        peer: transmit.to,
                        what: outline(&transmit.bytes),
                        is_repeat: transmit.is_repeat,
                    });
                }
                is_quiet = false;
                match (&self.shared.streams, transmit.to.transport.is_reliable()) {
                    (_, false) => self.wire.push(transmit),
                    (Some(streams), true) => {
                        let token = transmit.call.map(CallHandle::token);
                        streams.send(transmit.to, token, transmit.bytes);
                    }
                    (None, true) => {
                        if let Some(call) = transmit.call {
                            self.agent.transport_failed(Instant::now(), call);
                        }
                    }
                }
            }
            if is_quiet {
                break;
            }
            let (agent, meters) = (&mut self.agent, &self.meters);
            self.wire.flush(|transmit, error| {
                meters.send_error();
                // A full buffer loses a datagram as the network might; retransmission mends it.
                let is_full = matches!(error, Errno::EAGAIN | Errno::ENOBUFS);
                if let Some(call) = transmit.call.filter(|_| !is_full) {
                    tracing::debug!(to = %transmit.to, %error, "SIP could not be sent");
                    agent.transport_failed(Instant::now(), call);
                }
            });
        }
        self.meters.dropped(self.agent.dropped());
    }

    fn show_in_progress(&self) {
        let calls = self.calls.len();
        self.shared.in_progress.store(calls, Ordering::Relaxed);
    }

    fn told(&mut self, handle: CallHandle, event: SipEvent) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        if let SipEvent::Provisional { code }
        | SipEvent::Answered { code, .. }
        | SipEvent::Rejected { code, .. } = event
        {
            self.meters.response(call.tally, code);
            call.report.sip_code = Some(code);
        }
        let input = match event {
            SipEvent::Provisional { code } => CallInput::Provisional { code },
            SipEvent::Answered { sdp, .. } => {
                self.meters.answered(call.tally);
                match call.answered(&sdp) {
                    true => CallInput::Answered,
                    false => CallInput::MediaLost,
                }
            }
            SipEvent::MediaChanged { sdp } => {
                if let Some(moved) = call.moved(&sdp) {
                    self.shared.clock.moved(call.stream.stream, moved);
                }
                return;
            }
            SipEvent::Rejected {
                code,
                retry_after_seconds,
            } => CallInput::Rejected {
                code,
                retry_after_seconds,
            },
            SipEvent::Silent => CallInput::Silent,
            SipEvent::RemoteHungUp => CallInput::RemoteHungUp,
            SipEvent::TransportFailed => CallInput::TransportLost,
        };
        self.step(handle, input);
    }

    fn heard(&mut self, event: MediaEvent) {
        let (MediaEvent::Marked { stream, .. }
        | MediaEvent::Finished { stream }
        | MediaEvent::Pressed { stream, .. }
        | MediaEvent::Lost { stream }) = event;
        let Some(handle) = self.by_stream.get(&stream).copied() else {
            return;
        };
        match event {
            MediaEvent::Marked { mark, .. } => self.marked(handle, mark),
            MediaEvent::Finished { .. } => self.step(handle, CallInput::Played),
            MediaEvent::Pressed { .. } => {
                if let Some(call) = self.calls.get(&handle) {
                    call.tell(CallNews::KeyPressed);
                }
                self.step(handle, CallInput::KeyPressed);
            }
            MediaEvent::Lost { .. } => self.step(handle, CallInput::MediaLost),
        }
    }

    fn marked(&mut self, handle: CallHandle, mark: Mark) {
        let Some(call) = self.calls.get(&handle) else {
            return;
        };
        match mark {
            Mark::DigitSpoken { reading, position } => {
                if (reading, position) == (0, 0)
                    && let Some(answered) = call.report.answered_at_ms
                {
                    self.meters.first_digit(call.tally, unix_ms() - answered);
                }
                call.tell(CallNews::DigitSpoken { reading, position });
            }
            Mark::ReadingDone { reading } => {
                call.tell(CallNews::CodeRead { reading });
                self.step(handle, CallInput::CodeRead);
            }
        }
    }

    fn step(&mut self, handle: CallHandle, input: CallInput) {
        let now = Instant::now();
        if let Some(call) = self.calls.get_mut(&handle) {
            let effects = call.machine.step(input, now);
            self.perform(handle, effects, now);
        }
    }

    /// Takes the time: for the user agent's timers and for each call's own deadline.
    fn tick(&mut self) {
        let now = Instant::now();
        self.agent.tick(now);
        loop {
            let due = self.deadlines.take_due(now);
            if due.is_empty() {
                return;
            }
            for (at, handle) in due {
                self.come(at, handle, now);
            }
        }
    }

    /// A deadline that was noted for a call has come. The call's own may be later by now.
    fn come(&mut self, at: Instant, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        if call.noted != Some(at) {
            return;
        }
        call.noted = None;
        if call.machine.deadline().is_some_and(|due| due <= now) {
            let effects = call.machine.tick(now);
            self.perform(handle, effects, now);
        } else {
            self.schedule(handle);
        }
    }

    fn perform(&mut self, handle: CallHandle, effects: Vec<CallEffect>, now: Instant) {
        for effect in effects {
            match effect {
                CallEffect::Accepted => {
                    if let Some(call) = self.calls.get_mut(&handle) {
                        call.accepted();
                    }
                }
                CallEffect::AskForKey => self.say(handle, Saying::Invitation),
                CallEffect::Speak => self.say(handle, Saying::Code),
                CallEffect::Repeat(n) => self.say(handle, Saying::Again(n)),
                CallEffect::Cancel => self.agent.cancel(now, handle),
                CallEffect::HangUp => self.agent.hang_up(now, handle),
                CallEffect::Ended(end) => self.ended(handle, end),
            }
        }
        if let Some(call) = self.calls.get_mut(&handle) {
            call.note_ringing();
            self.schedule(handle);
        }
    }

    /// Says something, at once and instead of what is being said.
    fn say(&mut self, handle: CallHandle, saying: Saying) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let Some(agreed) = &call.agreed else {
            return;
        };
        let (prompts, codec) = (self.shared.prompts, agreed.codec);
        let (code, reading) = (&call.order.code, call.order.reading);
        let script = match saying {
            Saying::Invitation => prompts.invitation(reading.language, codec),
            Saying::Code => prompts.script(code, reading, codec),
            Saying::Again(n) => prompts.again(code, reading, codec, reading.repeat.max(1) - 1 + n),
        };
        if call.playing.is_some() {
            self.shared.clock.say(call.stream.stream, script);
            return;
        }
        let timeout = call.order.media_timeout.as_millis() / u128::from(FRAME_MS);
        let playing = self.shared.clock.play(Play {
            stream: call.stream.stream,
            remote: agreed.rtp,
            remote_rtcp: agreed.rtcp,
            gateway: call.order.gateway.address.ip(),
            codec,
            script,
            frames_a_packet: agreed.frames_a_packet,
            telephone_event: agreed.telephone_event,
            wants_keys: true,
            keys: agreed.keys.as_ref().map(|keys| Keys {
                ours: keys.ours.clone(),
                theirs: keys.theirs.clone(),
            }),
            media_timeout_frames: timeout as u32,
        });
        playing.hold(!agreed.direction.listens());
        call.tell(CallNews::Answered { codec });
        call.playing = Some(playing);
    }

    /// The machine is done: the call is reported and forgotten.
    fn ended(&mut self, handle: CallHandle, end: CallEnd) {
        if let Some(call) = self.calls.remove(&handle) {
            self.by_number.remove(&call.number);
            self.by_stream.remove(&call.stream.stream);
            self.show_in_progress();
            let tally = call.tally;
            let report = call.close(end);
            self.meters.ended(tally, &report);
        }
    }

    /// Notes the call's deadline, where that is sooner than what is noted.
    fn schedule(&mut self, handle: CallHandle) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let Some(due) = call.machine.deadline() else {
            return;
        };
        if call.noted.is_none_or(|noted| due < noted) {
            call.noted = Some(due);
            self.deadlines.note(due, handle);
        }
    }
}

/// New keys in each suite that we would use, the most usual one first.
fn offered_keys() -> CryptoLines {
    let suites = [Suite::AesCm128HmacSha1_80, Suite::AesCm256HmacSha1_80];
    let cryptos = suites.into_iter().zip(1..).map(|(suite, tag)| Crypto {
        tag,
        key: MasterKey::random(suite, &mut rand::rng()),
    });
    CryptoLines::of(&cryptos.collect::<Vec<_>>())
}
