//! The callee's media thread: one 20 ms tick receives and sends the audio of all calls.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use leg::{FRAME, Leg};
use listener::{CallNumber, EarInput, Ears, EndedCall};
use media_ports::{MediaLease, MediaSocket};

pub(super) mod greeting;
pub(super) mod impairment;
pub(super) mod jitter_buffer;
pub(super) mod key_presser;
pub(super) mod leg;
pub(super) mod listener;
pub(super) mod media_ports;
pub(super) mod receiver_report;

/// A stall longer than this is not caught up with: the packets of its time are left out.
const LONGEST_STALL: Duration = Duration::from_secs(1);
/// No RTP or RTCP packet over a 1,500 byte link is longer.
const DATAGRAM_BYTES: usize = 1500;

/// However many calls come and go, audio is moved in between.
const COMMANDS_A_TICK: usize = 1000;

/// Packets from unknown addresses that are kept for a tick.
const MOST_STRANGERS: usize = 1000;

/// What the callee asks of the media thread.
pub(super) enum MediaCommand {
    /// A call is answered. With a lease of the socket that its SDP names.
    Open {
        call: CallNumber,
        lease: MediaLease,
        /// Where the caller wants reports.
        rtcp: SocketAddr,
        leg: Box<Leg>,
    },
    /// An opened call is over: what it said last goes to the ears, then this.
    Close(EndedCall),
}

/// Starts the thread. It ends when the command queue's sender is gone.
///
/// # Errors
/// When the system starts no more threads.
pub(super) fn start(ears: Ears) -> io::Result<(Sender<MediaCommand>, JoinHandle<()>)> {
    let (sender, commands) = channel();
    let media = Media {
        ears,
        legs: HashMap::new(),
        sockets: HashMap::new(),
        closing: Vec::new(),
        strangers: Vec::new(),
    };
    let thread = thread::Builder::new()
        .name("sandbox-media".into())
        .spawn(move || media.run(&commands))?;
    Ok((sender, thread))
}

struct Media {
    ears: Ears,
    legs: HashMap<CallNumber, OpenLeg>,
    sockets: HashMap<usize, SharedSocket>,
    /// Closed at the end of the tick, when what was received before is read.
    closing: Vec<EndedCall>,
    strangers: Vec<Stranger>,
}

struct OpenLeg {
    leg: Box<Leg>,
    lease: MediaLease,
    rtcp: SocketAddr,
}

/// A packet from an address that is no call's. The command that opens its call may be under way:
/// it is looked at once more a tick later.
struct Stranger {
    index: usize,
    source: SocketAddr,
    bytes: Vec<u8>,
}

/// A socket and its calls by the far end's address.
struct SharedSocket {
    socket: Arc<MediaSocket>,
    calls: HashMap<SocketAddr, CallNumber>,
}

impl Media {
    fn run(mut self, commands: &Receiver<MediaCommand>) {
        let mut next_tick = Instant::now();
        loop {
            if self.legs.is_empty() {
                let Ok(command) = commands.recv() else { return };
                next_tick = Instant::now();
                self.take(command);
            }
            let open = self.take_until(next_tick, commands);
            let now = Instant::now();
            self.receive(now);
            if !open {
                return self.close_ended();
            }
            if now.saturating_duration_since(next_tick) > LONGEST_STALL {
                next_tick = now;
            }
            while next_tick <= now {
                self.tick(now);
                next_tick += FRAME;
            }
            self.close_ended();
        }
    }

    /// Takes commands until the tick is due; false when no more can come.
    fn take_until(&mut self, next_tick: Instant, commands: &Receiver<MediaCommand>) -> bool {
        for _ in 0..COMMANDS_A_TICK {
            let left = next_tick.saturating_duration_since(Instant::now());
            match commands.recv_timeout(left) {
                Ok(command) => self.take(command),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    fn take(&mut self, command: MediaCommand) {
        match command {
            MediaCommand::Open {
                call,
                lease,
                rtcp,
                leg,
            } => {
                if let Some(call_id) = leg.heard_as() {
                    self.ears.send(EarInput::Listen { call, call_id });
                }
                let open = OpenLeg { leg, lease, rtcp };
                self.open(call, open);
            }
            MediaCommand::Close(ended) => self.closing.push(ended),
        }
    }

    fn open(&mut self, call: CallNumber, open: OpenLeg) {
        let shared = self
            .sockets
            .entry(open.lease.socket.index)
            .or_insert_with(|| SharedSocket {
                socket: Arc::clone(&open.lease.socket),
                calls: HashMap::new(),
            });
        shared.calls.insert(open.lease.remote, call);
        self.legs.insert(call, open);
    }

    fn receive(&mut self, now: Instant) {
        for stranger in std::mem::take(&mut self.strangers) {
            self.receive_again(&stranger, now);
        }
        let mut datagram = [0; DATAGRAM_BYTES];
        for (index, shared) in &self.sockets {
            while let Ok((length, source)) = shared.socket.rtp.recv_from(&mut datagram) {
                let bytes = &datagram[..length];
                let call = shared.calls.get(&source);
                match call.and_then(|call| self.legs.get_mut(call)) {
                    Some(open) => open.leg.receive(bytes, now),
                    None if self.strangers.len() < MOST_STRANGERS => {
                        self.strangers.push(Stranger {
                            index: *index,
                            source,
                            bytes: bytes.to_vec(),
                        });
                    }
                    None => {}
                }
            }
            // Nothing is done with the caller's reports, but they must not fill the socket.
            while shared.socket.rtcp.recv_from(&mut datagram).is_ok() {}
        }
    }

    /// A packet whose call was not known a tick ago.
    fn receive_again(&mut self, stranger: &Stranger, now: Instant) {
        let Some(shared) = self.sockets.get_mut(&stranger.index) else {
            return;
        };
        let call = match shared.calls.get(&stranger.source) {
            Some(call) => Some(*call),
            None => latch(shared, &self.legs, stranger.source),
        };
        if let Some(open) = call.and_then(|call| self.legs.get_mut(&call)) {
            open.leg.receive(&stranger.bytes, now);
        }
    }

    fn tick(&mut self, now: Instant) {
        for (call, open) in &mut self.legs {
            let socket = &open.lease.socket;
            // A packet that cannot be sent is a lost packet.
            let _ = socket
                .rtp
                .send_to(open.leg.next_packet(), open.lease.remote);
            if let Some(report) = open.leg.report(now) {
                let _ = socket.rtcp.send_to(&report, open.rtcp);
            }
            if let Some(samples) = open.leg.hear(now) {
                let call = *call;
                self.ears.send(EarInput::Audio { call, samples });
            }
        }
    }

    fn close_ended(&mut self) {
        for ended in std::mem::take(&mut self.closing) {
            let call = ended.call;
            if let Some(mut open) = self.legs.remove(&call) {
                if let Some(samples) = open.leg.hear_rest() {
                    self.ears.send(EarInput::Audio { call, samples });
                }
                self.release(call, open.lease.socket.index);
            }
            self.ears.send(EarInput::Ended(ended));
        }
    }

    fn release(&mut self, call: CallNumber, index: usize) {
        let Some(shared) = self.sockets.get_mut(&index) else {
            return;
        };
        shared.calls.retain(|_, of| *of != call);
        if shared.calls.is_empty() {
            self.sockets.remove(&index);
        }
    }
}

/// Finds the call of packets from an address that no offer named: the socket's only call, if it
/// has heard nothing yet (symmetric RTP through a NAT, RFC 4961).
fn latch(
    shared: &mut SharedSocket,
    legs: &HashMap<CallNumber, OpenLeg>,
    source: SocketAddr,
) -> Option<CallNumber> {
    let mut calls = shared.calls.values().copied();
    let (Some(call), None) = (calls.next(), calls.next()) else {
        return None;
    };
    if legs.get(&call)?.leg.has_received() {
        return None;
    }
    shared.calls.insert(source, call);
    Some(call)
}
