//! One call's outgoing audio: builds its packets from its script, and handles what its far end sends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use nix::sys::socket::SockaddrStorage;
use refusals::Refusals;

use super::script_cursor::ScriptCursor;
use super::stats::SharedState;
use super::stream_config::{StreamConfig, StreamId, StreamUpdate};
use crate::net::udp;
use crate::rtp::receive::receiver::{KeySignal, StreamReceiver};
use crate::rtp::receive::source::{ExpectedSource, SourceRule, Verdict};
use crate::rtp::srtp::session::SrtpSession;
use crate::rtp::wire::packet::{self, HEADER_BYTES, Header};
use crate::rtp::wire::rtcp;
use crate::rtp::wire::rtcp::{ReportBlock, SenderInfo};
use crate::speech::prompts::{FRAME, FRAME_MS, Mark, Script};

/// One second, so that short calls have a report too.
const FIRST_REPORT_FRAMES: u32 = 1000 / FRAME_MS;
/// RFC 3550 §6.2: five seconds, randomised between half and one and a half times that.
const REPORT_INTERVAL_FRAMES: u32 = 5000 / FRAME_MS;
/// A stream is lost after a second in which nothing could be sent.
const FAILURES_UNTIL_LOST: u32 = 1000 / FRAME_MS;

/// The most frames in a packet: 60 ms.
pub(super) const MAX_FRAMES_PER_PACKET: usize = 3;

/// The initial values of a stream, random as RFC 3550 §5.1 requires.
#[derive(Clone, Copy, Debug)]
pub(super) struct InitialValues {
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
}

/// A packet to send, and the marks that its frames complete.
pub(super) struct OutgoingPacket {
    pub header: [u8; HEADER_BYTES],
    /// The frames; empty after the last one.
    pub audio: [&'static [u8]; MAX_FRAMES_PER_PACKET],
    pub marks: [Option<Mark>; MAX_FRAMES_PER_PACKET],
}

/// What a stream does in one tick of 20 ms.
pub(super) enum StreamTick {
    Send(OutgoingPacket),
    /// The last packet covers this tick too, or the far end holds the call.
    Wait,
    /// The script has ended.
    Finished,
}

/// What a received packet did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reception {
    /// It counts, and may complete the press or release of a key.
    Counted(Option<KeySignal>),
    /// It counts, as the first one of its source.
    CountedFromNewSource(Option<KeySignal>),
    /// It is authentic, but its source does not count.
    Ignored,
    /// It is not of the stream, or forged. Nothing has changed.
    Invalid,
}

/// A stream that is being sent.
pub(super) struct Stream {
    pub id: StreamId,
    pub shared: Arc<SharedState>,
    /// Index among the thread's sockets.
    pub socket: usize,
    /// Decides which of the packets that arrive are the far end's.
    pub source: SourceRule,
    /// The destination of its packets, in the socket's address family.
    pub destination: SockaddrStorage,
    pub rtcp_destination: SocketAddr,
    pub receiver: StreamReceiver,
    pub srtp: Option<Box<SrtpSession>>,
    header: Header,
    /// 1 to [`MAX_FRAMES_PER_PACKET`].
    frames_per_packet: u8,
    /// Ticks until the next packet.
    ticks_to_wait: u8,
    /// Whether a packet or a report of the far end has ever counted. Its later silence means nothing: a
    /// far end may send only while its user speaks.
    is_heard: bool,
    refusals: Refusals,
    script: ScriptCursor,
    packets: u32,
    octets: u32,
    received: u32,
    /// Ticks of this stream, including skipped ones.
    ticks: u32,
    next_report: u32,
    consecutive_failures: u32,
    /// The tick of the last failure.
    last_failure: u32,
}

impl Stream {
    pub fn new(
        config: StreamConfig,
        shared: Arc<SharedState>,
        initial: InitialValues,
        socket: usize,
        socket_is_v6: bool,
    ) -> Stream {
        let srtp_keys = config.srtp_keys.as_ref();
        let expected = ExpectedSource::new(config.remote, config.remote_rtcp, config.gateway);
        Stream {
            id: config.stream,
            shared,
            socket,
            source: SourceRule::new(expected),
            destination: udp::mapped(config.remote, socket_is_v6).into(),
            rtcp_destination: udp::mapped(config.remote_rtcp, socket_is_v6),
            receiver: StreamReceiver::new(config.format, config.event_types, config.wants_dtmf),
            srtp: srtp_keys.map(|keys| Box::new(SrtpSession::new(keys))),
            frames_per_packet: config.frames_per_packet.clamp(1, MAX_FRAMES_PER_PACKET as u8),
            ticks_to_wait: 0,
            is_heard: false,
            refusals: Refusals::new(config.media_timeout_frames),
            header: Header {
                marker: true,
                payload_type: config.format.payload_type,
                sequence: initial.sequence,
                timestamp: initial.timestamp,
                ssrc: initial.ssrc,
            },
            script: ScriptCursor::new(config.script),
            packets: 0,
            octets: 0,
            received: 0,
            ticks: 0,
            next_report: FIRST_REPORT_FRAMES,
            consecutive_failures: 0,
            last_failure: 0,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.header.ssrc
    }

    /// Advances by one tick.
    pub fn tick(&mut self) -> StreamTick {
        if self.shared.is_held.load(Ordering::Relaxed) {
            self.skip(1);
            self.ticks_to_wait = 0;
            return StreamTick::Wait;
        }
        self.ticks = self.ticks.wrapping_add(1);
        if let Some(left) = self.ticks_to_wait.checked_sub(1) {
            self.ticks_to_wait = left;
            return StreamTick::Wait;
        }
        let mut packet = OutgoingPacket {
            header: self.header.bytes(),
            audio: [&[]; MAX_FRAMES_PER_PACKET],
            marks: [None; MAX_FRAMES_PER_PACKET],
        };
        let mut frames = 0;
        while frames < usize::from(self.frames_per_packet) {
            let Some((audio, mark)) = self.script.next_frame() else {
                break;
            };
            (packet.audio[frames], packet.marks[frames]) = (audio, mark);
            frames += 1;
        }
        if frames == 0 {
            return StreamTick::Finished;
        }
        self.ticks_to_wait = frames as u8 - 1;
        let samples = (frames * FRAME) as u32;
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(samples);
        self.packets += 1;
        self.octets = self.octets.wrapping_add(samples);
        self.shared.set_packets_sent(self.packets);
        StreamTick::Send(packet)
    }

    /// Plays another script from now on.
    pub fn replace_script(&mut self, script: Script) {
        self.script = ScriptCursor::new(script);
    }

    /// Applies what a mid-call offer and answer changed. A new address of the far end starts a new
    /// source rule.
    pub fn update(&mut self, update: &StreamUpdate, socket_is_v6: bool) {
        if let Some(expected) = self.moved(update) {
            self.source = SourceRule::new(expected);
            self.set_destinations(socket_is_v6);
            self.refusals.reset();
        }
        self.header.payload_type = update.format.payload_type;
        self.receiver.update(update.format, update.event_types);
        if let (Some(srtp), Some(their_key)) = (&mut self.srtp, &update.their_key) {
            srtp.replace_their_key(their_key);
        }
    }

    /// Where packets are expected from after the update, if it moves the far end.
    pub fn moved(&self, update: &StreamUpdate) -> Option<ExpectedSource> {
        let before = self.source.expected();
        let after = ExpectedSource::new(update.remote, update.remote_rtcp, before.gateway);
        (after != before).then_some(after)
    }

    /// Sends where the source rule says from now on.
    pub fn set_destinations(&mut self, socket_is_v6: bool) {
        self.destination = udp::mapped(self.source.rtp_destination(), socket_is_v6).into();
        self.rtcp_destination = udp::mapped(self.source.rtcp_destination(), socket_is_v6);
    }

    /// Skips the time of `frames` frames, as a pause does. The audio continues at the same position.
    pub fn skip(&mut self, frames: u32) {
        let samples = frames.wrapping_mul(FRAME as u32);
        self.header.timestamp = self.header.timestamp.wrapping_add(samples);
        // RFC 3551 §4.1: the first packet after a silence.
        self.header.marker = true;
        self.ticks = self.ticks.wrapping_add(frames);
    }

    /// Records that the kernel rejected the last packet. Returns whether the stream is lost.
    pub fn record_failure(&mut self) -> bool {
        self.packets = self.packets.saturating_sub(1);
        self.shared.set_packets_sent(self.packets);
        self.consecutive_failures = match self.last_failure.wrapping_add(1) == self.ticks {
            true => self.consecutive_failures + 1,
            false => 1,
        };
        self.last_failure = self.ticks;
        self.consecutive_failures == FAILURES_UNTIL_LOST
    }

    /// Handles a packet that may be the far end's: authenticates it first, then asks the source rule,
    /// then reads it. `epoch` is any fixed time.
    pub fn receive(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        now: Instant,
        epoch: Instant,
    ) -> Reception {
        if !self.source.may_count(from) {
            return Reception::Ignored;
        }
        let mut srtp = self.srtp.take();
        let plain = match &mut srtp {
            Some(srtp) => srtp.unprotect_rtp(datagram),
            None => Some(datagram),
        };
        let reception = match plain.and_then(packet::parse) {
            Some((header, payload)) => self.receive_authentic(&header, payload, from, now, epoch),
            None => Reception::Invalid,
        };
        self.srtp = srtp;
        reception
    }

    fn receive_authentic(
        &mut self,
        header: &Header,
        payload: &[u8],
        from: SocketAddr,
        now: Instant,
        epoch: Instant,
    ) -> Reception {
        let is_media = self.receiver.accepts(header.payload_type) && !payload.is_empty();
        let is_new_source = match self.source.judge(from, header, is_media, now) {
            Verdict::Ignored => return Reception::Ignored,
            Verdict::Counts => false,
            Verdict::CountsFromNowOn => true,
        };
        self.is_heard = true;
        self.received = self.received.saturating_add(1);
        if self.shared.ignores_tones.load(Ordering::Relaxed) {
            self.receiver.ignore_tones();
        }
        let signal = self.receiver.receive(header, payload, now, epoch);
        let (missed, jitter) = self.receiver.loss_and_jitter();
        self.shared.set_received(self.received, missed, jitter);
        match is_new_source {
            true => Reception::CountedFromNewSource(signal),
            false => Reception::Counted(signal),
        }
    }

    /// Records that the far end's host refused a packet.
    pub fn record_refusal(&mut self) {
        self.refusals.record(self.ticks);
    }

    /// Whether the far end does not exist: nothing was ever heard of it, and its host has refused our
    /// packets for as long as the limit.
    pub fn is_refused(&self) -> bool {
        !self.is_heard && self.refusals.reach_limit(self.ticks)
    }

    /// Whether a packet completes a reading that its far end refuses: the code does not count as read.
    pub fn is_reading_refused(&self, packet: &OutgoingPacket) -> bool {
        let mut marks = packet.marks.iter().flatten();
        marks.any(|mark| matches!(mark, Mark::ReadingDone { .. }))
            && !self.is_heard
            && self.refusals.go_on(self.ticks)
    }

    /// Whether a report is due. `random` is uniform over `u32`.
    pub fn is_report_due(&mut self, random: impl FnOnce() -> u32) -> bool {
        let is_due = self.ticks >= self.next_report;
        if is_due {
            let spread = (u64::from(random()) * u64::from(REPORT_INTERVAL_FRAMES)) >> 32;
            self.next_report = self.ticks + REPORT_INTERVAL_FRAMES / 2 + spread as u32;
        }
        is_due
    }

    /// Writes a report to `bytes`, with a BYE if `is_last`. `None` if the stream has sent nothing: then
    /// it must not send a BYE either (RFC 3550 §6.3.7).
    pub fn write_report(&mut self, cname: &str, is_last: bool, bytes: &mut Vec<u8>) -> Option<()> {
        bytes.clear();
        if self.packets == 0 {
            return None;
        }
        let received = self.receiver.report_block(Instant::now());
        let sender = SenderInfo {
            ssrc: self.header.ssrc,
            ntp: rtcp::ntp_now(),
            rtp_timestamp: self.header.timestamp,
            packets: self.packets,
            octets: self.octets,
        };
        rtcp::write_sender_report(&sender, received.as_ref(), cname, is_last, bytes);
        match &mut self.srtp {
            Some(srtp) => srtp.protect_rtcp(bytes),
            None => Some(()),
        }
    }

    /// Handles the far end's report about this stream.
    pub fn handle_report(&mut self, block: ReportBlock) {
        self.is_heard = true;
        let round_trip = block.round_trip(rtcp::ntp_now());
        self.shared.set_report(block, round_trip);
    }
}

mod refusals;
#[cfg(test)]
mod tests;
