//! One call's outgoing audio: where in its script it is, and what its next packet is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::socket::SockaddrStorage;

use super::clock::{Moved, Play, StreamFigures, StreamId};
use crate::net::udp;
use crate::rtp::receive::demultiplexer::Expected;
use crate::rtp::receive::receiver::Ears;
use crate::rtp::srtp::session::Seal;
use crate::rtp::wire::packet::{HEADER_BYTES, Header};
use crate::rtp::wire::rtcp;
use crate::rtp::wire::rtcp::{ReportBlock, SenderReport};
use crate::rtp::wire::telephone_event::Key;
use crate::speech::prompts::{FRAME, FRAME_MS, Mark, Piece, Script};

/// A second: so that short calls have a report too.
const FIRST_REPORT_AFTER_FRAMES: u32 = 1000 / FRAME_MS;
/// RFC 3550 §6.2: five seconds, spread over half to one and a half times that.
const REPORT_EVERY_FRAMES: u32 = 5000 / FRAME_MS;
/// A second in which nothing could be sent.
const FAILURES_TO_BE_LOST: u32 = 1000 / FRAME_MS;

/// What a stream's owner and the media thread share. The thread writes the figures.
#[derive(Debug, Default)]
pub(in crate::rtp) struct Shared {
    /// Set by the owner: no further packet is sent.
    pub stopped: AtomicBool,
    /// Set by the owner: the far end does not listen, and the audio waits.
    pub is_held: AtomicBool,
    packets_sent: AtomicU32,
    packets_received: AtomicU32,
    /// Of what the far end sends: packets lost above 32 bits, jitter.
    heard: AtomicU64,
    /// The far end's last report: 1 in the topmost bit, fraction lost above 32 bits, jitter.
    reported: AtomicU64,
    /// How many packets the far end misses.
    reported_lost: AtomicU32,
    /// The last round trip in microseconds, plus one.
    round_trip: AtomicU32,
}

const IS_REPORTED: u64 = 1 << 63;

impl Shared {
    pub fn figures(&self) -> StreamFigures {
        let reported = self.reported.load(Ordering::Relaxed);
        let is_reported = reported & IS_REPORTED != 0;
        let heard = self.heard.load(Ordering::Relaxed);
        let round_trip = self.round_trip.load(Ordering::Relaxed).checked_sub(1);
        StreamFigures {
            packets_sent: u64::from(self.packets_sent.load(Ordering::Relaxed)),
            packets_received: u64::from(self.packets_received.load(Ordering::Relaxed)),
            packets_missed: (heard >> 32) as u32,
            jitter_received: heard as u32,
            fraction_lost: is_reported.then_some((reported >> 32) as u8),
            packets_lost: is_reported.then(|| self.reported_lost.load(Ordering::Relaxed)),
            jitter: is_reported.then_some(reported as u32),
            round_trip: round_trip.map(|micros| Duration::from_micros(micros.into())),
        }
    }
}

/// The numbers at which a stream starts, random as RFC 3550 §5.1 asks.
#[derive(Clone, Copy, Debug)]
pub(in crate::rtp) struct Start {
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
}

/// The most frames in a packet: 60 ms.
pub(in crate::rtp) const MOST_FRAMES: usize = 3;

/// A packet to be sent, and the marks that its sending passes.
pub(in crate::rtp) struct Next {
    pub header: [u8; HEADER_BYTES],
    /// The frames, empty past the last one.
    pub audio: [&'static [u8]; MOST_FRAMES],
    pub marks: [Option<Mark>; MOST_FRAMES],
}

/// What a stream does in one tick.
pub(in crate::rtp) enum Turn {
    Send(Next),
    /// Its packets are longer than a tick, or the far end holds the call.
    Wait,
    /// All is said.
    Over,
}

/// A stream that is being sent.
pub(in crate::rtp) struct Stream {
    pub id: StreamId,
    pub shared: Arc<Shared>,
    /// Its place among the thread's sockets.
    pub socket: usize,
    pub expected: Expected,
    /// Where its packets go, as the socket takes it.
    pub to: SockaddrStorage,
    pub to_rtcp: SocketAddr,
    pub ears: Ears,
    pub seal: Option<Box<Seal>>,
    header: Header,
    /// Frames in a packet, 1 to [`MOST_FRAMES`], and ticks until the next one.
    frames_a_packet: u8,
    wait: u8,
    /// Ticks without a packet or report of the far end that end the stream; 0: any number. Counted from
    /// the first packet: many far ends never send.
    patience: u32,
    heard_at: Option<u32>,
    pieces: Vec<Piece>,
    piece: usize,
    /// The frame within the piece, over all its repetitions.
    frame: u32,
    packets: u32,
    octets: u32,
    received: u32,
    /// Ticks of this stream, those included that were left out.
    ticks: u32,
    report_at: u32,
    /// Failures in a row, and the tick of the last one.
    failures: u32,
    failed_at: u32,
}

impl Stream {
    pub fn new(
        play: Play,
        shared: Arc<Shared>,
        start: Start,
        socket: usize,
        socket_is_v6: bool,
    ) -> Stream {
        Stream {
            id: play.stream,
            shared,
            socket,
            expected: Expected {
                announced: play.remote,
                gateway: play.gateway,
            },
            to: udp::mapped(play.remote, socket_is_v6).into(),
            to_rtcp: udp::mapped(play.remote_rtcp, socket_is_v6),
            ears: Ears::new(play.codec, play.telephone_event, play.wants_keys),
            seal: play.keys.as_ref().map(|keys| Box::new(Seal::new(keys))),
            frames_a_packet: play.frames_a_packet.clamp(1, MOST_FRAMES as u8),
            wait: 0,
            patience: play.media_timeout_frames,
            heard_at: None,
            header: Header {
                marker: true,
                payload_type: play.codec.payload_type(),
                sequence: start.sequence,
                timestamp: start.timestamp,
                ssrc: start.ssrc,
            },
            pieces: play.script.pieces,
            piece: 0,
            frame: 0,
            packets: 0,
            octets: 0,
            received: 0,
            ticks: 0,
            report_at: FIRST_REPORT_AFTER_FRAMES,
            failures: 0,
            failed_at: 0,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.header.ssrc
    }

    /// One tick.
    pub fn turn(&mut self) -> Turn {
        if self.shared.is_held.load(Ordering::Relaxed) {
            self.skip(1);
            self.wait = 0;
            return Turn::Wait;
        }
        self.ticks = self.ticks.wrapping_add(1);
        if let Some(left) = self.wait.checked_sub(1) {
            self.wait = left;
            return Turn::Wait;
        }
        let mut next = Next {
            header: self.header.bytes(),
            audio: [&[]; MOST_FRAMES],
            marks: [None; MOST_FRAMES],
        };
        let mut frames = 0;
        while frames < usize::from(self.frames_a_packet) {
            let Some((audio, mark)) = self.frame() else {
                break;
            };
            (next.audio[frames], next.marks[frames]) = (audio, mark);
            frames += 1;
        }
        if frames == 0 {
            return Turn::Over;
        }
        self.wait = frames as u8 - 1;
        let samples = (frames * FRAME) as u32;
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(samples);
        self.packets += 1;
        self.octets = self.octets.wrapping_add(samples);
        self.shared
            .packets_sent
            .store(self.packets, Ordering::Relaxed);
        Turn::Send(next)
    }

    /// The next frame, and the mark that it passes.
    fn frame(&mut self) -> Option<(&'static [u8], Option<Mark>)> {
        while self.pieces.get(self.piece)?.frames() == 0 {
            self.piece += 1;
        }
        let piece = self.pieces[self.piece];
        let at = self.frame as usize % (piece.audio.len() / FRAME) * FRAME;
        let mark = piece.mark.filter(|_| self.frame + 1 == piece.frames());
        self.frame += 1;
        if self.frame == piece.frames() {
            (self.frame, self.piece) = (0, self.piece + 1);
        }
        Some((&piece.audio[at..at + FRAME], mark))
    }

    /// Says something else from now on.
    pub fn say(&mut self, script: Script) {
        self.pieces = script.pieces;
        (self.piece, self.frame) = (0, 0);
    }

    /// Goes on as was agreed anew in mid-call.
    pub fn moved(&mut self, moved: &Moved, socket_is_v6: bool) {
        self.expected.announced = moved.remote;
        self.to = udp::mapped(moved.remote, socket_is_v6).into();
        self.to_rtcp = udp::mapped(moved.remote_rtcp, socket_is_v6);
        self.header.payload_type = moved.codec.payload_type();
        self.ears.agree(moved.codec, moved.telephone_event);
        if let (Some(seal), Some(theirs)) = (&mut self.seal, &moved.their_key) {
            seal.replace_theirs(theirs);
        }
    }

    /// Leaves out the time of so many frames, as after a pause: the audio goes on where it was.
    pub fn skip(&mut self, frames: u32) {
        let samples = frames.wrapping_mul(FRAME as u32);
        self.header.timestamp = self.header.timestamp.wrapping_add(samples);
        // RFC 3551 §4.1: the first packet after a silence.
        self.header.marker = true;
        self.ticks = self.ticks.wrapping_add(frames);
    }

    /// The kernel did not take the last packet. Whether the stream is to be given up.
    pub fn failed(&mut self) -> bool {
        self.packets = self.packets.saturating_sub(1);
        self.shared
            .packets_sent
            .store(self.packets, Ordering::Relaxed);
        self.failures = match self.failed_at.wrapping_add(1) == self.ticks {
            true => self.failures + 1,
            false => 1,
        };
        self.failed_at = self.ticks;
        self.failures == FAILURES_TO_BE_LOST
    }

    /// A packet came: the key that is pressed with it, if any. `epoch` is any fixed time.
    pub fn received(
        &mut self,
        header: &Header,
        payload: &[u8],
        now: Instant,
        epoch: Instant,
    ) -> Option<Key> {
        self.heard_at = Some(self.ticks);
        self.received = self.received.saturating_add(1);
        self.shared
            .packets_received
            .store(self.received, Ordering::Relaxed);
        let key = self.ears.take(header, payload, now, epoch);
        let (missed, jitter) = self.ears.figures();
        let heard = u64::from(missed) << 32 | u64::from(jitter);
        self.shared.heard.store(heard, Ordering::Relaxed);
        key
    }

    /// Whether the far end has fallen silent for longer than is borne.
    pub fn is_deserted(&self) -> bool {
        let silent = self.heard_at.map(|at| self.ticks.wrapping_sub(at));
        self.patience > 0 && silent.is_some_and(|ticks| ticks > self.patience)
    }

    /// From now on packets go there, and reports one port above.
    pub fn redirect(&mut self, to: SocketAddr, socket_is_v6: bool) {
        let to = udp::mapped(to, socket_is_v6);
        self.to = to.into();
        self.to_rtcp = SocketAddr::new(to.ip(), to.port().wrapping_add(1));
    }

    /// Whether the far end's reports come from there.
    pub fn reports_from(&self, from: SocketAddr) -> bool {
        let to = SocketAddr::new(self.to_rtcp.ip().to_canonical(), self.to_rtcp.port());
        to == from
    }

    /// Whether a report is due; `spread` is evenly spread over all of `u32`.
    pub fn is_report_due(&mut self, spread: impl FnOnce() -> u32) -> bool {
        let is_due = self.ticks >= self.report_at;
        if is_due {
            let spread = (u64::from(spread()) * u64::from(REPORT_EVERY_FRAMES)) >> 32;
            self.report_at = self.ticks + REPORT_EVERY_FRAMES / 2 + spread as u32;
        }
        is_due
    }

    /// Writes a report, with a BYE where the stream ends. `None` for a stream that has sent nothing
    /// and so has nothing to take leave of (RFC 3550 §6.3.7).
    pub fn write_report(&mut self, cname: &str, goodbye: bool, bytes: &mut Vec<u8>) -> Option<()> {
        bytes.clear();
        if self.packets == 0 {
            return None;
        }
        let received = self.ears.report(Instant::now());
        let report = SenderReport {
            ssrc: self.header.ssrc,
            ntp: rtcp::ntp(SystemTime::now()),
            rtp_timestamp: self.header.timestamp,
            packets: self.packets,
            octets: self.octets,
        };
        rtcp::write(&report, received.as_ref(), cname, goodbye, bytes);
        match &mut self.seal {
            Some(seal) => seal.seal_rtcp(bytes),
            None => Some(()),
        }
    }

    /// Takes what the far end says of this stream.
    pub fn reported(&mut self, block: ReportBlock) {
        self.heard_at = self.heard_at.map(|_| self.ticks);
        let lost = u32::try_from(block.lost).unwrap_or(0);
        self.shared.reported_lost.store(lost, Ordering::Relaxed);
        if let Some(round_trip) = block.round_trip(rtcp::ntp(SystemTime::now())) {
            let micros = round_trip.as_micros().min(u128::from(u32::MAX - 1)) as u32;
            self.shared.round_trip.store(micros + 1, Ordering::Relaxed);
        }
        let packed = IS_REPORTED | u64::from(block.fraction_lost) << 32 | u64::from(block.jitter);
        self.shared.reported.store(packed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::g711::Codec;
    use crate::rtp::wire::packet;
    use crate::speech::prompts::Script;

    static AUDIO: [u8; FRAME * 2] = [7; FRAME * 2];

    fn stream() -> Stream {
        let mark = |position| {
            Some(Mark::DigitSpoken {
                reading: 0,
                position,
            })
        };
        let piece = |frames: usize, repeat, mark| Piece {
            audio: &AUDIO[..FRAME * frames],
            repeat,
            mark,
        };
        let play = Play {
            stream: StreamId::default(),
            remote: ([127, 0, 0, 1], 4000).into(),
            remote_rtcp: ([127, 0, 0, 1], 4001).into(),
            gateway: [127, 0, 0, 1].into(),
            codec: Codec::Pcmu,
            frames_a_packet: 1,
            telephone_event: None,
            wants_keys: false,
            keys: None,
            media_timeout_frames: 0,
            script: Script {
                pieces: vec![
                    piece(2, 2, mark(0)),
                    piece(0, 3, mark(1)),
                    piece(1, 0, mark(2)),
                    piece(1, 1, mark(3)),
                ],
            },
        };
        let start = Start {
            ssrc: 1,
            sequence: u16::MAX,
            timestamp: u32::MAX - 159,
        };
        Stream::new(play, Arc::default(), start, 0, false)
    }

    fn header(next: &Next) -> packet::Header {
        let mut bytes = next.header.to_vec();
        bytes.extend(next.audio.concat());
        packet::parse(&bytes).unwrap().0
    }

    fn next(stream: &mut Stream) -> Option<Next> {
        match stream.turn() {
            Turn::Send(next) => Some(next),
            Turn::Wait | Turn::Over => None,
        }
    }

    #[test]
    fn numbers_wrap_and_marks_follow_the_last_frame_of_their_piece() {
        let mut stream = stream();
        let mut seen = Vec::new();
        while let Some(next) = next(&mut stream) {
            let header = header(&next);
            seen.push((
                header.marker,
                header.sequence,
                header.timestamp,
                next.marks[0],
            ));
        }
        let mark = |position| {
            Some(Mark::DigitSpoken {
                reading: 0,
                position,
            })
        };
        assert_eq!(
            seen,
            [
                (true, 65_535, u32::MAX - 159, None),
                (false, 0, 0, None),
                (false, 1, 160, None),
                (false, 2, 320, mark(0)),
                (false, 3, 480, mark(3)),
            ]
        );
        assert_eq!(stream.shared.figures().packets_sent, 5);
    }

    #[test]
    fn longer_packets_hold_several_frames_and_leave_room_for_them() {
        let mut stream = stream();
        stream.frames_a_packet = 2;
        let mut seen = Vec::new();
        loop {
            match stream.turn() {
                Turn::Send(next) => {
                    let header = header(&next);
                    let frames = next.audio.iter().filter(|audio| !audio.is_empty());
                    seen.push(Some((header.timestamp, frames.count(), next.marks)));
                }
                Turn::Wait => seen.push(None),
                Turn::Over => break,
            }
        }
        let spoken = |position| {
            Some(Mark::DigitSpoken {
                reading: 0,
                position,
            })
        };
        assert_eq!(
            seen,
            [
                Some((u32::MAX - 159, 2, [None; 3])),
                None,
                Some((160, 2, [None, spoken(0), None])),
                None,
                Some((480, 1, [spoken(3), None, None])),
            ]
        );
    }

    #[test]
    fn a_held_stream_waits_and_goes_on_where_it_was() {
        let mut stream = stream();
        next(&mut stream);
        stream.shared.is_held.store(true, Ordering::Relaxed);
        for _ in 0..5 {
            assert!(matches!(stream.turn(), Turn::Wait));
        }
        stream.shared.is_held.store(false, Ordering::Relaxed);
        let next = header(&next(&mut stream).unwrap());
        assert!(next.marker);
        assert_eq!((next.sequence, next.timestamp), (0, 800));
    }

    #[test]
    fn another_script_is_said_from_its_beginning() {
        let mut stream = stream();
        next(&mut stream);
        let piece = Piece {
            audio: &AUDIO,
            repeat: 1,
            mark: Some(Mark::ReadingDone { reading: 4 }),
        };
        stream.say(Script {
            pieces: vec![piece],
        });
        assert_eq!(header(&next(&mut stream).unwrap()).timestamp, 0);
        let last = next(&mut stream).unwrap();
        assert_eq!(last.marks[0], Some(Mark::ReadingDone { reading: 4 }));
        assert!(matches!(stream.turn(), Turn::Over));
    }

    #[test]
    fn a_far_end_that_falls_silent_deserts_the_stream_and_one_that_never_spoke_does_not() {
        let mut stream = stream();
        stream.patience = 3;
        let heard = packet::Header {
            marker: false,
            payload_type: 0,
            sequence: 1,
            timestamp: 1,
            ssrc: 9,
        };
        stream.skip(100);
        assert!(!stream.is_deserted());
        let now = Instant::now();
        stream.received(&heard, &AUDIO[..FRAME], now, now);
        stream.skip(3);
        assert!(!stream.is_deserted());
        stream.skip(1);
        assert!(stream.is_deserted());
        assert_eq!(stream.shared.figures().packets_received, 1);
    }

    #[test]
    fn after_time_left_out_the_audio_goes_on_as_a_new_talkspurt() {
        let mut stream = stream();
        next(&mut stream);
        stream.skip(10);
        let next = header(&next(&mut stream).unwrap());
        assert!(next.marker);
        assert_eq!((next.sequence, next.timestamp), (0, 1600));
    }

    #[test]
    fn a_stream_is_lost_after_a_second_in_which_nothing_is_taken() {
        let mut stream = stream();
        stream.pieces[0].repeat = 1000;
        let mut sends = |takes: bool, frames: u32| {
            (0..frames)
                .filter(|_| {
                    next(&mut stream);
                    !takes && stream.failed()
                })
                .count()
        };
        assert_eq!(sends(false, 49), 0);
        assert_eq!(sends(true, 1), 0);
        assert_eq!(sends(false, 49), 0, "one that was taken counts");
        assert_eq!(sends(false, 1), 1);
    }

    #[test]
    fn reports_come_after_a_second_and_then_about_every_five() {
        let mut stream = stream();
        let mut due = Vec::new();
        for tick in 0..1000 {
            stream.skip(1);
            let spread = || if due.len() % 2 == 0 { 0 } else { u32::MAX };
            if stream.is_report_due(spread) {
                due.push(tick + 1);
            }
        }
        let (soon, late) = (125, 374);
        assert_eq!(
            due,
            [50, 50 + soon, 50 + soon + late, 50 + soon + late + soon]
        );
    }

    #[test]
    fn nothing_sent_means_nothing_to_take_leave_of() {
        let mut stream = stream();
        let mut bytes = Vec::new();
        assert!(stream.write_report("x", true, &mut bytes).is_none());
        next(&mut stream);
        assert!(stream.write_report("x", true, &mut bytes).is_some());
        assert!(!bytes.is_empty());
    }
}
