//! The media thread of the sandbox carrier: one 20 ms tick receives and sends the audio of all
//! calls.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use leg::{FRAME, Leg};
use listener::{Listener, ListenerInput};
use media_ports::{MediaLease, MediaSocket};

use super::events::{CallNumber, EndedCall};
use crate::net::udp::{mapped, unmapped};
use crate::rtp::receive::demultiplexer::Demultiplexer;
use crate::rtp::receive::source::{ExpectedSource, SourceRule, Verdict};
use crate::rtp::wire::packet;

mod greeting;
pub(super) mod impairment;
mod jitter_buffer;
mod key_presser;
pub(super) mod leg;
pub(super) mod listener;
pub(super) mod media_ports;
mod receiver_report;

/// After a longer stall the missed packets are skipped instead of sent late.
const MAX_STALL: Duration = Duration::from_secs(1);
/// No RTP or RTCP packet on a link with an MTU of 1,500 bytes is longer.
const DATAGRAM_BYTES: usize = 1500;

/// Bounds the commands handled in one tick, so that audio is moved however many calls start and
/// end.
const MAX_COMMANDS_PER_TICK: usize = 1000;

/// The most packets from unknown addresses that are kept for a tick.
const MAX_UNMATCHED_PACKETS: usize = 1000;

/// A command of the SIP server to the media thread.
pub(super) enum MediaCommand {
    /// A call is answered, with a lease of the socket that its SDP names.
    Open {
        call: CallNumber,
        lease: MediaLease,
        /// Where the caller's audio comes from, and the address for receiver reports.
        expected: ExpectedSource,
        leg: Box<Leg>,
    },
    /// An opened call has ended. The listener gets its remaining audio, then this.
    Close(EndedCall),
}

/// Starts the thread. It ends when the command sender is dropped.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn start(listener: Listener) -> io::Result<(Sender<MediaCommand>, JoinHandle<()>)> {
    let (sender, commands) = channel();
    let media = Media {
        listener,
        legs: HashMap::new(),
        sockets: HashMap::new(),
        closing: Vec::new(),
        unmatched: Vec::new(),
    };
    let thread =
        thread::Builder::new().name("sandbox-media".into()).spawn(move || media.run(&commands))?;
    Ok((sender, thread))
}

struct Media {
    listener: Listener,
    legs: HashMap<CallNumber, OpenLeg>,
    sockets: HashMap<usize, SharedSocket>,
    /// Closed at the end of the tick, after the packets received before have been read.
    closing: Vec<EndedCall>,
    unmatched: Vec<UnmatchedPacket>,
}

struct OpenLeg {
    leg: Box<Leg>,
    lease: MediaLease,
    source: SourceRule,
}

/// A packet from an address of no call. The command that opens its call may still be queued, so the
/// packet is matched again one tick later.
struct UnmatchedPacket {
    index: usize,
    source: SocketAddr,
    bytes: Vec<u8>,
}

/// A socket and its calls.
struct SharedSocket {
    socket: Arc<MediaSocket>,
    calls: Demultiplexer<CallNumber>,
}

impl Media {
    fn run(mut self, commands: &Receiver<MediaCommand>) {
        let mut next_tick = Instant::now();
        loop {
            if self.legs.is_empty() {
                let Ok(command) = commands.recv() else { return };
                next_tick = Instant::now();
                self.handle_command(command);
            }
            let is_open = self.handle_commands_until(next_tick, commands);
            let now = Instant::now();
            self.receive(now);
            if !is_open {
                return self.close_ended();
            }
            if now.saturating_duration_since(next_tick) > MAX_STALL {
                next_tick = now;
            }
            while next_tick <= now {
                self.tick(now);
                next_tick += FRAME;
            }
            self.close_ended();
        }
    }

    /// Handles commands until the tick is due. Returns false if no more commands can come.
    fn handle_commands_until(
        &mut self,
        next_tick: Instant,
        commands: &Receiver<MediaCommand>,
    ) -> bool {
        for _ in 0..MAX_COMMANDS_PER_TICK {
            let left = next_tick.saturating_duration_since(Instant::now());
            match commands.recv_timeout(left) {
                Ok(command) => self.handle_command(command),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    fn handle_command(&mut self, command: MediaCommand) {
        match command {
            MediaCommand::Open { call, lease, expected, leg } => {
                if let Some(call_id) = leg.listened_call_id() {
                    self.listener.send(ListenerInput::Listen { call, call_id });
                }
                let source = SourceRule::new(expected);
                self.open(call, OpenLeg { leg, lease, source });
            }
            MediaCommand::Close(ended) => self.closing.push(ended),
        }
    }

    fn open(&mut self, call: CallNumber, open: OpenLeg) {
        let shared = self.sockets.entry(open.lease.socket.index).or_insert_with(|| SharedSocket {
            socket: Arc::clone(&open.lease.socket),
            calls: Demultiplexer::default(),
        });
        shared.calls.add(call, open.source.expected());
        self.legs.insert(call, open);
    }

    fn receive(&mut self, now: Instant) {
        for packet in std::mem::take(&mut self.unmatched) {
            if let Some(shared) = self.sockets.get_mut(&packet.index) {
                shared.receive(&mut self.legs, &packet.bytes, packet.source, now);
            }
        }
        let mut datagram = [0; DATAGRAM_BYTES];
        for (index, shared) in &mut self.sockets {
            let socket = Arc::clone(&shared.socket);
            while let Ok((length, source)) = socket.rtp.recv_from(&mut datagram) {
                let (bytes, source) = (&datagram[..length], unmapped(source));
                let is_matched = shared.receive(&mut self.legs, bytes, source, now);
                if !is_matched && self.unmatched.len() < MAX_UNMATCHED_PACKETS {
                    self.unmatched.push(UnmatchedPacket {
                        index: *index,
                        source,
                        bytes: bytes.to_vec(),
                    });
                }
            }
            // The caller's reports are not used, but must not fill the socket buffer.
            while socket.rtcp.recv_from(&mut datagram).is_ok() {}
        }
    }

    fn tick(&mut self, now: Instant) {
        for (call, open) in &mut self.legs {
            let socket = &open.lease.socket;
            // A packet that cannot be sent counts as lost.
            let to = mapped(open.source.rtp_destination(), socket.is_v6);
            let _ = socket.rtp.send_to(open.leg.next_packet(), to);
            if let Some(report) = open.leg.report(now) {
                let to = mapped(open.source.rtcp_destination(), socket.is_v6);
                let _ = socket.rtcp.send_to(&report, to);
            }
            if let Some(samples) = open.leg.pull_audio(now) {
                let call = *call;
                self.listener.send(ListenerInput::Audio { call, samples });
            }
        }
    }

    fn close_ended(&mut self) {
        for ended in std::mem::take(&mut self.closing) {
            let call = ended.call;
            if let Some(mut open) = self.legs.remove(&call) {
                if let Some(samples) = open.leg.drain_audio() {
                    self.listener.send(ListenerInput::Audio { call, samples });
                }
                self.release(call, &open);
            }
            self.listener.send(ListenerInput::Ended(ended));
        }
    }

    fn release(&mut self, call: CallNumber, open: &OpenLeg) {
        let index = open.lease.socket.index;
        let Some(shared) = self.sockets.get_mut(&index) else {
            return;
        };
        shared.calls.remove(call, &open.source);
        if shared.calls.is_empty() {
            self.sockets.remove(&index);
        }
    }
}

impl SharedSocket {
    /// Gives a packet to its call, if its source counts. Returns whether a call may have sent it.
    fn receive(
        &mut self,
        legs: &mut HashMap<CallNumber, OpenLeg>,
        bytes: &[u8],
        source: SocketAddr,
        now: Instant,
    ) -> bool {
        let Some((header, payload)) = packet::parse(bytes) else {
            return true;
        };
        let Some(call) = self.calls.find(source, header.ssrc, 0) else {
            return false;
        };
        let Some(open) = legs.get_mut(&call) else {
            return false;
        };
        let is_media = open.leg.accepts(header.payload_type) && !payload.is_empty();
        match open.source.judge(source, &header, is_media, now) {
            Verdict::Ignored => return true,
            Verdict::Counts => {}
            Verdict::CountsFromNowOn => self.calls.set_source(call, &open.source),
        }
        open.leg.receive(bytes, now);
        true
    }
}

#[cfg(test)]
mod tests;
