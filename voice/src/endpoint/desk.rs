//! The endpoint's thread: everything that happens to calls happens here, one thing after another.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexo_domain::call::{Call, CallEffect, CallEnd, CallInput, CallState};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::live_call::{LiveCall, unix_ms};
use super::{CallNews, CallOrder, Inbox, Order, Shared};
use crate::prompts::Mark;
use crate::rtp::clock::{MediaEvent, Play, StreamId};
use crate::sip::sdp::{self, Audio};
use crate::sip::transaction::Timers;
use crate::sip::user_agent::{CallHandle, Invite, SipEvent, Transmit, UserAgent};

mod meters;

use meters::Meters;

/// The most of one kind of input that is taken before the others have their turn.
const TURN: usize = 256;
/// No SIP message over UDP is longer.
const DATAGRAM_BYTES: usize = 65_535;
/// Without anything due the thread looks around so often.
const IDLE: Duration = Duration::from_secs(3600);
/// How often what was dropped is counted.
const COUNT_DROPPED_EVERY: usize = 64;

pub(super) struct Desk<'a> {
    socket: UdpSocket,
    shared: &'a mut Shared,
    agent: UserAgent,
    calls: HashMap<CallHandle, LiveCall>,
    by_number: HashMap<u64, CallHandle>,
    by_stream: HashMap<StreamId, CallHandle>,
    deadlines: BinaryHeap<Reverse<(Instant, CallHandle)>>,
    /// Our address as each gateway sees it.
    locals: HashMap<SocketAddr, IpAddr>,
    buffer: Vec<u8>,
    meters: Meters,
    received: usize,
}

impl<'a> Desk<'a> {
    pub fn new(socket: UdpSocket, shared: &'a mut Shared) -> Self {
        let mut agent =
            UserAgent::new(&shared.config.user_agent, Timers::default(), rand::random());
        agent.set_peers(shared.peers.clone());
        Self {
            socket,
            shared,
            agent,
            calls: HashMap::new(),
            by_number: HashMap::new(),
            by_stream: HashMap::new(),
            deadlines: BinaryHeap::new(),
            locals: HashMap::new(),
            buffer: vec![0; DATAGRAM_BYTES],
            meters: Meters::new(),
            received: 0,
        }
    }

    /// Runs until it is told to shut down, or until every handle is gone.
    pub async fn run(mut self, inbox: &mut Inbox) {
        loop {
            let due = self.next_due();
            tokio::select! {
                order = inbox.orders.recv() => {
                    let Some(order) = order else { return };
                    if self.obey(order).is_break() {
                        return;
                    }
                    for _ in 0..TURN {
                        let Ok(order) = inbox.orders.try_recv() else { break };
                        if self.obey(order).is_break() {
                            return;
                        }
                    }
                }
                Some(event) = inbox.media.recv() => {
                    self.heard(event);
                    for _ in 0..TURN {
                        let Ok(event) = inbox.media.try_recv() else { break };
                        self.heard(event);
                    }
                }
                readable = self.socket.readable() => {
                    if readable.is_ok() {
                        self.read_socket();
                    }
                }
                () = tokio::time::sleep_until(due.into()) => {}
            }
            self.tick();
            self.pump();
        }
    }

    fn next_due(&self) -> Instant {
        let calls = self.deadlines.peek().map(|Reverse((at, _))| *at);
        let due = calls.into_iter().chain(self.agent.next_deadline()).min();
        due.unwrap_or_else(|| Instant::now() + IDLE)
    }

    fn obey(&mut self, order: Order) -> ControlFlow<()> {
        match order {
            Order::Place { call, order, news } => self.place(call, order, news),
            Order::Abandon(call) => {
                if let Some(handle) = self.by_number.get(&call).copied() {
                    self.step(handle, CallInput::Abandoned);
                }
            }
            Order::SetPeers(peers) => {
                self.shared.peers = peers.clone();
                self.agent.set_peers(peers);
            }
            Order::Shutdown(done) => {
                self.give_up_all();
                // The other side may have stopped waiting.
                let _ = done.send(());
                return ControlFlow::Break(());
            }
            #[cfg(test)]
            Order::Panic => panic!("provoked by a test"),
        }
        ControlFlow::Continue(())
    }

    fn place(&mut self, number: u64, order: Box<CallOrder>, news: mpsc::UnboundedSender<CallNews>) {
        let now = Instant::now();
        let ip = self.local_ip(order.gateway);
        let stream = self.shared.clock.reserve();
        let offer = Audio {
            rtp: SocketAddr::new(ip, stream.rtp_port),
            rtcp: SocketAddr::new(ip, stream.rtcp_port),
            codecs: order.codecs.clone(),
        };
        let local_port = self.socket.local_addr().map_or(0, |local| local.port());
        let local = SocketAddr::new(ip, local_port);
        let uri = format!("sip:{}@{}", order.number, order.gateway_host);
        let handle = self.agent.invite(
            now,
            Invite {
                call_id: order.call_id.clone(),
                gateway: order.gateway,
                local,
                to_uri: uri.clone(),
                request_uri: uri,
                from_uri: from_uri(&order.caller_id, local),
                sdp: sdp::write(&offer, unix_ms() as u64).into_bytes(),
                gateway_timeout: order.gateway_timeout,
            },
        );
        let machine = Call::dial(order.limits, now);
        let call = LiveCall::new(number, machine, order, stream, news);
        call.tell(CallNews::Dialled);
        let deadline = call.machine.deadline();
        self.by_number.insert(number, handle);
        self.by_stream.insert(stream.stream, handle);
        self.calls.insert(handle, call);
        self.schedule(handle, deadline);
        self.shared.in_progress.fetch_add(1, Ordering::Relaxed);
        self.meters.placed();
    }

    /// Our address as the gateway is to see it.
    fn local_ip(&mut self, gateway: SocketAddr) -> IpAddr {
        let listen = self.shared.config.listen_udp.ip();
        match self.shared.config.public_ip {
            Some(public) => public,
            None if !listen.is_unspecified() => listen,
            None => *self
                .locals
                .entry(gateway)
                .or_insert_with(|| address_towards(gateway).unwrap_or(listen)),
        }
    }

    fn read_socket(&mut self) {
        for _ in 0..TURN {
            let Ok((length, from)) = self.socket.try_recv_from(&mut self.buffer) else {
                break;
            };
            self.agent
                .receive(Instant::now(), from, &self.buffer[..length]);
            self.received += 1;
            if self.received.is_multiple_of(COUNT_DROPPED_EVERY) {
                self.meters.dropped(self.agent.dropped());
            }
        }
    }

    /// Hands on what the user agent has to say and to send.
    fn pump(&mut self) {
        loop {
            while let Some((handle, event)) = self.agent.poll_event() {
                self.told(handle, event);
            }
            let Some(transmit) = self.agent.poll_transmit() else {
                break;
            };
            self.transmit(&transmit);
        }
        if self.received == 0 || self.agent.legs() == 0 {
            self.meters.dropped(self.agent.dropped());
        }
    }

    fn transmit(&mut self, transmit: &Transmit) {
        let Err(error) = self.socket.try_send_to(&transmit.bytes, transmit.to) else {
            return;
        };
        self.meters.send_error();
        // A full buffer loses a datagram as the network might; retransmission mends it.
        if error.kind() != std::io::ErrorKind::WouldBlock
            && let Some(call) = transmit.call
        {
            tracing::warn!(to = %transmit.to, %error, "SIP could not be sent");
            self.agent.transport_failed(Instant::now(), call);
        }
    }

    fn told(&mut self, handle: CallHandle, event: SipEvent) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let input = match event {
            SipEvent::Provisional { code } => {
                self.meters.response(code);
                call.note_provisional(code);
                if call.machine.state() == CallState::Dialling {
                    self.meters.first_answer(call.report.started_at_ms);
                }
                CallInput::Provisional { code }
            }
            SipEvent::Answered { code, sdp } => {
                self.meters.response(code);
                call.report.sip_code = Some(code);
                call.report.answered_at_ms = Some(unix_ms());
                let audio = sdp::read(&sdp);
                match audio.map(|audio| (call.common_codec(&audio), audio)) {
                    Ok((Some(codec), audio)) => {
                        call.report.codec = Some(codec);
                        call.remote = Some((audio, codec));
                        call.tell(CallNews::Answered { codec });
                        CallInput::Answered
                    }
                    Ok((None, _)) | Err(_) => CallInput::MediaLost,
                }
            }
            SipEvent::Rejected {
                code,
                retry_after_seconds,
            } => {
                self.meters.response(code);
                call.report.sip_code = Some(code);
                CallInput::Rejected {
                    code,
                    retry_after_seconds,
                }
            }
            SipEvent::Silent => CallInput::Silent,
            SipEvent::RemoteHungUp => CallInput::RemoteHungUp,
            SipEvent::TransportFailed => CallInput::TransportLost,
        };
        self.step(handle, input);
    }

    fn heard(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Marked { stream, mark } => self.marked(stream, mark),
            MediaEvent::Finished { stream } => {
                if let Some(handle) = self.by_stream.get(&stream).copied() {
                    self.step(handle, CallInput::Played);
                }
            }
            MediaEvent::Lost { stream } => {
                if let Some(handle) = self.by_stream.get(&stream).copied() {
                    self.step(handle, CallInput::MediaLost);
                }
            }
        }
    }

    fn marked(&mut self, stream: StreamId, mark: Mark) {
        let Some(handle) = self.by_stream.get(&stream).copied() else {
            return;
        };
        let Some(call) = self.calls.get(&handle) else {
            return;
        };
        match mark {
            Mark::DigitSpoken { reading, position } => {
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
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let effects = call.machine.step(input, now);
        self.perform(handle, effects);
    }

    /// Takes the time: for the user agent's timers and for each call's own deadline.
    fn tick(&mut self) {
        let now = Instant::now();
        self.agent.tick(now);
        while let Some(Reverse((at, handle))) = self.deadlines.peek().copied() {
            if at > now {
                break;
            }
            self.deadlines.pop();
            let Some(call) = self.calls.get_mut(&handle) else {
                continue;
            };
            let effects = call.machine.tick(now);
            self.perform(handle, effects);
        }
    }

    fn perform(&mut self, handle: CallHandle, effects: Vec<CallEffect>) {
        let now = Instant::now();
        for effect in effects {
            match effect {
                CallEffect::Accepted => {
                    if let Some(call) = self.calls.get_mut(&handle) {
                        call.accepted();
                    }
                }
                CallEffect::Speak => self.speak(handle),
                CallEffect::Cancel => self.agent.cancel(now, handle),
                CallEffect::HangUp => self.agent.hang_up(now, handle),
                CallEffect::Ended(end) => self.ended(handle, end),
            }
        }
        let deadline = self.calls.get(&handle).and_then(|c| c.machine.deadline());
        self.schedule(handle, deadline);
    }

    fn speak(&mut self, handle: CallHandle) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let Some((audio, codec)) = &call.remote else {
            return;
        };
        let (code, reading) = (&call.order.code, call.order.reading);
        let playing = self.shared.clock.play(Play {
            stream: call.stream.stream,
            remote: audio.rtp,
            remote_rtcp: audio.rtcp,
            gateway: call.order.gateway.ip(),
            codec: *codec,
            script: self.shared.prompts.script(code, reading, *codec),
        });
        call.playing = Some(playing);
    }

    /// The machine is done: the call is reported and forgotten.
    fn ended(&mut self, handle: CallHandle, end: CallEnd) {
        let Some(call) = self.calls.remove(&handle) else {
            return;
        };
        self.by_number.remove(&call.number);
        self.by_stream.remove(&call.stream.stream);
        self.shared.in_progress.fetch_sub(1, Ordering::Relaxed);
        let report = call.close(end);
        self.meters.ended(&report);
    }

    fn schedule(&mut self, handle: CallHandle, deadline: Option<Instant>) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        if deadline != call.noted {
            call.noted = deadline;
            self.deadlines
                .extend(deadline.map(|at| Reverse((at, handle))));
        }
    }

    fn give_up_all(&mut self) {
        let handles: Vec<CallHandle> = self.calls.keys().copied().collect();
        for handle in handles {
            self.step(handle, CallInput::Abandoned);
        }
        self.pump();
    }
}

/// RFC 3323 §4.1.1.3 for a caller without a number.
fn from_uri(caller_id: &str, local: SocketAddr) -> String {
    match caller_id {
        "anonymous" => "sip:anonymous@anonymous.invalid".to_owned(),
        number => format!("sip:{number}@{}", local.ip()),
    }
}

/// The address that packets to `peer` leave from.
fn address_towards(peer: SocketAddr) -> Option<IpAddr> {
    let any = match peer {
        SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0; 16], 0)),
    };
    let probe = StdUdpSocket::bind(any).ok()?;
    probe.connect(peer).ok()?;
    probe.local_addr().ok().map(|local| local.ip())
}
