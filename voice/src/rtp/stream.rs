//! One call's outgoing audio: where in its script it is, and what its next packet is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::SystemTime;

use nix::sys::socket::SockaddrStorage;

use super::clock::{Play, StreamFigures, StreamId};
use super::packet::{HEADER_BYTES, Header};
use super::reception::Expected;
use super::rtcp::{self, ReportBlock, SenderReport};
use crate::prompts::{FRAME, FRAME_MS, Mark, Piece};
use crate::udp;

/// A second: so that short calls have a report too.
const FIRST_REPORT_AFTER_FRAMES: u32 = 1000 / FRAME_MS;
/// RFC 3550 §6.2: five seconds, spread over half to one and a half times that.
const REPORT_EVERY_FRAMES: u32 = 5000 / FRAME_MS;
/// A second in which nothing could be sent.
const FAILURES_TO_BE_LOST: u32 = 1000 / FRAME_MS;

/// What a stream's owner and the media thread share. The thread writes the figures.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Set by the owner: no further packet is sent.
    pub stopped: AtomicBool,
    packets_sent: AtomicU32,
    packets_received: AtomicU32,
    /// The far end's last report: 1 in the topmost bit, fraction lost above 32 bits, jitter.
    reported: AtomicU64,
}

const IS_REPORTED: u64 = 1 << 63;

impl Shared {
    pub fn figures(&self) -> StreamFigures {
        let reported = self.reported.load(Ordering::Relaxed);
        let is_reported = reported & IS_REPORTED != 0;
        StreamFigures {
            packets_sent: u64::from(self.packets_sent.load(Ordering::Relaxed)),
            packets_received: u64::from(self.packets_received.load(Ordering::Relaxed)),
            fraction_lost: is_reported.then_some((reported >> 32) as u8),
            jitter: is_reported.then_some(reported as u32),
        }
    }
}

/// The numbers at which a stream starts, random as RFC 3550 §5.1 asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
}

/// A packet to be sent, and the mark that its sending passes.
pub(super) struct Next {
    pub header: [u8; HEADER_BYTES],
    pub audio: &'static [u8],
    pub mark: Option<Mark>,
}

/// A stream that is being sent.
pub(super) struct Stream {
    pub id: StreamId,
    pub shared: Arc<Shared>,
    /// Its place among the thread's sockets.
    pub socket: usize,
    pub expected: Expected,
    /// Where its packets go, as the socket takes it.
    pub to: SockaddrStorage,
    pub to_rtcp: SocketAddr,
    header: Header,
    pieces: Vec<Piece>,
    piece: usize,
    /// The frame within the piece, over all its repetitions.
    frame: u32,
    packets: u32,
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

    /// The next packet. `None` when all is said.
    pub fn next(&mut self) -> Option<Next> {
        while self.pieces.get(self.piece)?.frames() == 0 {
            self.piece += 1;
        }
        let piece = self.pieces[self.piece];
        let at = self.frame as usize % (piece.audio.len() / FRAME) * FRAME;
        let next = Next {
            header: self.header.bytes(),
            audio: &piece.audio[at..at + FRAME],
            mark: piece.mark.filter(|_| self.frame + 1 == piece.frames()),
        };
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(FRAME as u32);
        self.frame += 1;
        self.ticks += 1;
        if self.frame == piece.frames() {
            (self.frame, self.piece) = (0, self.piece + 1);
        }
        self.packets += 1;
        self.shared
            .packets_sent
            .store(self.packets, Ordering::Relaxed);
        Some(next)
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

    /// A packet came.
    pub fn received(&mut self) {
        self.received = self.received.saturating_add(1);
        self.shared
            .packets_received
            .store(self.received, Ordering::Relaxed);
    }

    /// From now on packets go there, and reports one port above.
    pub fn redirect(&mut self, to: SocketAddr, socket_is_v6: bool) {
        let to = udp::mapped(to, socket_is_v6);
        self.to = to.into();
        self.to_rtcp = SocketAddr::new(to.ip(), to.port().wrapping_add(1));
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
    pub fn write_report(&self, cname: &str, goodbye: bool, bytes: &mut Vec<u8>) -> Option<()> {
        let report = SenderReport {
            ssrc: self.header.ssrc,
            ntp: rtcp::ntp(SystemTime::now()),
            rtp_timestamp: self.header.timestamp,
            packets: self.packets,
            octets: self.packets.wrapping_mul(FRAME as u32),
        };
        bytes.clear();
        (self.packets > 0).then(|| rtcp::write(&report, cname, goodbye, bytes))
    }

    /// Takes what the far end says of this stream.
    pub fn reported(&self, block: ReportBlock) {
        let packed = IS_REPORTED | u64::from(block.fraction_lost) << 32 | u64::from(block.jitter);
        self.shared.reported.store(packed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711::Codec;
    use crate::prompts::Script;
    use crate::rtp::packet;

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
        bytes.extend(next.audio);
        packet::parse(&bytes).unwrap().0
    }

    #[test]
    fn numbers_wrap_and_marks_follow_the_last_frame_of_their_piece() {
        let mut stream = stream();
        let mut seen = Vec::new();
        while let Some(next) = stream.next() {
            let header = header(&next);
            seen.push((header.marker, header.sequence, header.timestamp, next.mark));
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
    fn after_time_left_out_the_audio_goes_on_as_a_new_talkspurt() {
        let mut stream = stream();
        stream.next();
        stream.skip(10);
        let next = header(&stream.next().unwrap());
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
                    stream.next();
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
        stream.next();
        assert!(stream.write_report("x", true, &mut bytes).is_some());
        assert!(!bytes.is_empty());
    }
}
