//! One call's outgoing audio: where in its script it is, and what its next packet is.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::clock::{Play, StreamFigures, StreamId};
use super::packet::{HEADER_BYTES, Header};
use super::rtcp::{self, ReportBlock, SenderReport};
use crate::prompts::{FRAME, Mark, Piece};

/// RFC 3550 §6.2: about every five seconds; the first one sooner, so that short calls have one.
const FIRST_REPORT_AFTER: Duration = Duration::from_secs(1);
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// What follows a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    Nothing,
    Marked(Mark),
    Finished,
}

/// A stream that is being sent.
pub(super) struct Stream {
    pub id: StreamId,
    pub socket: usize,
    pub remote: SocketAddr,
    pub remote_rtcp: SocketAddr,
    header: Header,
    pieces: Vec<Piece>,
    piece: usize,
    /// The frame within the piece, over all its repetitions.
    frame: u32,
    packets: u64,
    report_due: Instant,
    pub received: u64,
    last_block: Option<ReportBlock>,
}

impl Stream {
    /// A stream that starts with random numbers, as RFC 3550 §5.1 asks.
    pub fn new(play: Play, random: (u32, u16, u32), now: Instant) -> Stream {
        let (ssrc, sequence, timestamp) = random;
        Stream {
            id: play.stream,
            socket: play.stream.socket(),
            remote: play.remote,
            remote_rtcp: play.remote_rtcp,
            header: Header {
                marker: true,
                payload_type: play.codec.payload_type(),
                sequence,
                timestamp,
                ssrc,
            },
            pieces: play.script.pieces,
            piece: 0,
            frame: 0,
            packets: 0,
            report_due: now + FIRST_REPORT_AFTER,
            received: 0,
            last_block: None,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.header.ssrc
    }

    /// The next packet's header and frame, and what its sending means. `None` when all is said.
    pub fn next(&mut self) -> Option<([u8; HEADER_BYTES], &'static [u8], After)> {
        while self.pieces.get(self.piece)?.frames() == 0 {
            self.piece += 1;
        }
        let piece = self.pieces[self.piece];
        let in_audio = self.frame as usize % (piece.audio.len() / FRAME) * FRAME;
        let audio = &piece.audio[in_audio..in_audio + FRAME];
        let header = self.header.bytes();
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(FRAME as u32);
        self.packets += 1;
        self.frame += 1;
        let mut after = After::Nothing;
        if self.frame == piece.frames() {
            self.frame = 0;
            self.piece += 1;
            after = match (piece.mark, self.piece == self.pieces.len()) {
                (Some(mark), _) => After::Marked(mark),
                (None, true) => After::Finished,
                (None, false) => After::Nothing,
            };
        }
        Some((header, audio, after))
    }

    /// The RTCP report, where one is due.
    pub fn report(&mut self, now: Instant, cname: &str) -> Option<Vec<u8>> {
        if now < self.report_due {
            return None;
        }
        self.report_due = now + REPORT_EVERY;
        Some(self.write_report(cname, false))
    }

    /// The last RTCP packet of the stream.
    pub fn goodbye(&self, cname: &str) -> Vec<u8> {
        self.write_report(cname, true)
    }

    fn write_report(&self, cname: &str, goodbye: bool) -> Vec<u8> {
        let report = SenderReport {
            ssrc: self.header.ssrc,
            ntp: rtcp::ntp(SystemTime::now()),
            rtp_timestamp: self.header.timestamp,
            packets: self.packets as u32,
            octets: (self.packets * FRAME as u64) as u32,
        };
        rtcp::write(&report, cname, goodbye)
    }

    /// Takes what the far end says of this stream.
    pub fn reported(&mut self, block: ReportBlock) {
        self.last_block = Some(block);
    }

    pub fn figures(&self) -> StreamFigures {
        StreamFigures {
            packets_sent: self.packets,
            packets_received: self.received,
            fraction_lost: self.last_block.map(|block| block.fraction_lost),
            jitter: self.last_block.map(|block| block.jitter),
        }
    }
}
