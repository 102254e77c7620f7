//! RTCP (RFC 3550 §6): what a sender reports, and what it reads in the far end's reports.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::rtp::receive::quality::Reception;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const CNAME: u8 = 1;
/// From 1900, where NTP starts, to 1970.
const NTP_OFFSET_SECONDS: u64 = 2_208_988_800;

/// What a sender says of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    pub ssrc: u32,
    /// 32.32 fixed-point seconds since 1900.
    pub ntp: u64,
    /// The media clock at the same instant.
    pub rtp_timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// What the far end says of our stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream that is reported on.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost over all; below 0 where packets came twice.
    pub lost: i32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// The middle of the NTP time of our report that came last. 0: none has come.
    pub last_report: u32,
    /// Since then, in 1/65536 s.
    pub since_last_report: u32,
}

impl ReportBlock {
    /// The way there and back, for a block that comes when it is `ntp` here (§6.4.1). `None` where the
    /// far end has not heard of us, or says what cannot be.
    pub fn round_trip(&self, ntp: u64) -> Option<Duration> {
        let units = middle(ntp)
            .wrapping_sub(self.last_report)
            .wrapping_sub(self.since_last_report);
        let is_known = self.last_report != 0 && units < u32::MAX / 2;
        is_known.then(|| Duration::from_secs_f64(f64::from(units) / 65_536.0))
    }
}

/// One thing that a compound packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The far end's sender has reported at this NTP time of its own.
    Sender { ssrc: u32, ntp_middle: u32 },
    /// Of a stream that it receives.
    Block(ReportBlock),
}

/// The middle 32 bits of an NTP time: 16.16 fixed-point seconds.
pub fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// A point in time as NTP counts it.
pub fn ntp(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() + NTP_OFFSET_SECONDS;
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

/// Appends a compound packet: sender report, with what is received where anything is, and CNAME, and a
/// BYE where the stream ends.
pub fn write(
    report: &SenderReport,
    received: Option<&Reception>,
    cname: &str,
    goodbye: bool,
    bytes: &mut Vec<u8>,
) {
    let blocks = u8::from(received.is_some());
    bytes.extend([0x80 | blocks, SENDER_REPORT, 0, 6 + blocks * 6]);
    bytes.extend(report.ssrc.to_be_bytes());
    bytes.extend(report.ntp.to_be_bytes());
    for word in [report.rtp_timestamp, report.packets, report.octets] {
        bytes.extend(word.to_be_bytes());
    }
    if let Some(received) = received {
        bytes.extend(received.ssrc.to_be_bytes());
        let lost = u32::from(received.fraction_lost) << 24 | (received.lost & 0xff_ffff);
        for word in [
            lost,
            received.highest_sequence,
            received.jitter,
            received.last_report,
            received.since_last_report,
        ] {
            bytes.extend(word.to_be_bytes());
        }
    }
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    // One chunk: SSRC, one item, and at least one zero up to a whole word.
    let chunk = (4 + 2 + cname.len() + 1).div_ceil(4) * 4;
    bytes.extend([0x81, SOURCE_DESCRIPTION]);
    bytes.extend((chunk as u16 / 4).to_be_bytes());
    let end = bytes.len() + chunk;
    bytes.extend(report.ssrc.to_be_bytes());
    bytes.extend([CNAME, cname.len() as u8]);
    bytes.extend(cname);
    bytes.resize(end, 0);
    if goodbye {
        bytes.extend([0x81, GOODBYE, 0, 1]);
        bytes.extend(report.ssrc.to_be_bytes());
    }
}

/// What a compound packet says; nothing for what is no RTCP.
pub fn read(datagram: &[u8]) -> Vec<News> {
    let mut news = Vec::new();
    let mut rest = datagram;
    while let Some((head, _)) = rest.split_first_chunk::<4>() {
        let length = (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1) * 4;
        if head[0] >> 6 != 2 || rest.len() < length {
            break;
        }
        let (packet, after) = rest.split_at(length);
        rest = after;
        let first_block = match head[1] {
            SENDER_REPORT => 28,
            RECEIVER_REPORT => 8,
            _ => continue,
        };
        let count = usize::from(head[0] & 0x1f);
        if head[1] == SENDER_REPORT && packet.len() >= 28 {
            news.push(News::Sender {
                ssrc: word(packet, 4),
                ntp_middle: word(packet, 8) << 16 | word(packet, 12) >> 16,
            });
        }
        let body = packet.get(first_block..).unwrap_or_default();
        let blocks = body.chunks_exact(24).take(count);
        news.extend(blocks.map(|bytes| News::Block(block(bytes))));
    }
    news
}

/// The report blocks alone.
pub fn report_blocks(datagram: &[u8]) -> Vec<ReportBlock> {
    let blocks = read(datagram).into_iter().filter_map(|news| match news {
        News::Block(block) => Some(block),
        News::Sender { .. } => None,
    });
    blocks.collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn block(bytes: &[u8]) -> ReportBlock {
    ReportBlock {
        ssrc: word(bytes, 0),
        fraction_lost: bytes[4],
        // 24 bits with a sign.
        lost: (word(bytes, 4) << 8) as i32 >> 8,
        jitter: word(bytes, 12),
        last_report: word(bytes, 16),
        since_last_report: word(bytes, 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const REPORT: SenderReport = SenderReport {
        ssrc: 0x0102_0304,
        ntp: 0x1112_1314_1516_1718,
        rtp_timestamp: 160,
        packets: 50,
        octets: 8000,
    };

    #[test]
    fn a_sender_report_is_laid_out_as_the_rfc_has_it() {
        let mut bytes = Vec::new();
        write(&REPORT, None, "nexo@h", true, &mut bytes);
        assert_eq!(bytes[..4], [0x80, 200, 0, 6]);
        assert_eq!(bytes[4..8], [1, 2, 3, 4]);
        assert_eq!(
            bytes[8..16],
            [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]
        );
        assert_eq!(bytes[16..28], [0, 0, 0, 160, 0, 0, 0, 50, 0, 0, 0x1f, 0x40]);
        assert_eq!(bytes[28..32], [0x81, 202, 0, 4]);
        assert_eq!(bytes[36..44], *b"\x01\x06nexo@h");
        assert_eq!(bytes[48..], [0x81, 203, 0, 1, 1, 2, 3, 4]);
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn ntp_counts_from_1900_in_fixed_point() {
        let at = UNIX_EPOCH + Duration::from_millis(500);
        assert_eq!(ntp(at), 2_208_988_800 << 32 | 0x8000_0000);
    }

    #[test]
    fn loss_and_jitter_are_read_from_receiver_and_sender_reports() {
        let block = [
            1, 2, 3, 4, 64, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 33, 0, 0, 0, 7, 0, 0, 0, 8,
        ];
        let mut receiver = vec![0x81, 201, 0, 7, 9, 9, 9, 9];
        receiver.extend(block);
        let mut sender = Vec::new();
        write(&REPORT, None, "x", false, &mut sender);
        sender.extend(&receiver);
        let expected = News::Block(ReportBlock {
            ssrc: 0x0102_0304,
            fraction_lost: 64,
            lost: 9,
            jitter: 33,
            last_report: 7,
            since_last_report: 8,
        });
        let reported = News::Sender {
            ssrc: REPORT.ssrc,
            ntp_middle: 0x1314_1516,
        };
        assert_eq!(read(&receiver), [expected]);
        assert_eq!(read(&sender), [reported, expected]);
        assert_eq!(read(&receiver[..20]), []);
    }

    #[test]
    fn what_is_said_of_a_received_stream_is_read_back() {
        let received = Reception {
            ssrc: 77,
            fraction_lost: 3,
            lost: 0x12_3456,
            highest_sequence: 70_000,
            jitter: 12,
            last_report: 0x1314_1516,
            since_last_report: 65_536,
        };
        let mut bytes = Vec::new();
        write(&REPORT, Some(&received), "x", false, &mut bytes);
        let [_, News::Block(block)] = read(&bytes)[..] else {
            panic!("no block");
        };
        assert_eq!(
            (block.ssrc, block.fraction_lost, block.lost),
            (77, 3, 0x12_3456)
        );
        // It waited a second of the three since the report.
        let now = REPORT.ntp + (3 << 32);
        assert_eq!(block.round_trip(now), Some(Duration::from_secs(2)));
        assert_eq!(block.round_trip(REPORT.ntp), None, "before it was sent");
    }

    #[test]
    fn a_loss_below_nothing_keeps_its_sign() {
        let mut bytes = [0; 24];
        bytes[4..8].copy_from_slice(&[0, 0xff, 0xff, 0xfe]);
        assert_eq!(block(&bytes).lost, -2);
        assert_eq!(block(&bytes).round_trip(1 << 40), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = read(&bytes);
        }
    }
}
