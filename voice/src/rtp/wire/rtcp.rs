//! RTCP (RFC 3550 §6): writes sender and receiver reports, and parses the far end's.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const CNAME: u8 = 1;
/// Seconds from 1900, the epoch of NTP, to 1970.
const NTP_OFFSET_SECONDS: u64 = 2_208_988_800;

/// The sender information of a sender report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    pub ssrc: u32,
    /// 32.32 fixed-point seconds since 1900.
    pub ntp: u64,
    /// The RTP timestamp of the same instant.
    pub rtp_timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// A report block: what a receiver reports about one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream that the block is about.
    pub ssrc: u32,
    /// The fraction lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// The cumulative number of packets lost; negative if packets were duplicated.
    pub lost: i32,
    /// The highest sequence number received, with the number of wraps in the upper 16 bits.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time of the last sender report. 0: none was received.
    pub last_report: u32,
    /// The delay since that report, in 1/65536 s.
    pub since_last_report: u32,
}

impl ReportBlock {
    /// Returns the round trip time of a block that is received at `ntp` (§6.4.1). `None` if the far
    /// end has received no sender report, or its values are inconsistent.
    pub fn round_trip(&self, ntp: u64) -> Option<Duration> {
        let units = middle(ntp).wrapping_sub(self.last_report).wrapping_sub(self.since_last_report);
        let is_known = self.last_report != 0 && units < u32::MAX / 2;
        is_known.then(|| Duration::from_secs_f64(f64::from(units) / 65_536.0))
    }
}

/// One item of a compound packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpItem {
    /// The middle 32 bits of the NTP time of a sender report.
    SenderTime { ssrc: u32, ntp_middle: u32 },
    /// A report block.
    Block(ReportBlock),
}

/// Returns the middle 32 bits of an NTP time: 16.16 fixed-point seconds.
pub fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// Converts a time to NTP format: 32.32 fixed-point seconds since 1900.
pub fn ntp(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() + NTP_OFFSET_SECONDS;
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

/// Returns the NTP time now. Round trips are differences of this clock, so it starts with the wall clock and then follows
/// the monotonic one (RFC 3550, section 4).
pub fn ntp_now() -> u64 {
    static START: LazyLock<(SystemTime, Instant)> =
        LazyLock::new(|| (SystemTime::now(), Instant::now()));
    let (wall, monotonic) = *START;
    ntp(wall + monotonic.elapsed())
}

/// Appends a compound packet: a sender report with at most one report block, the CNAME, and a BYE if
/// `is_last`.
pub fn write_sender_report(
    sender: &SenderInfo,
    received: Option<&ReportBlock>,
    cname: &str,
    is_last: bool,
    bytes: &mut Vec<u8>,
) {
    let blocks = u8::from(received.is_some());
    bytes.extend([0x80 | blocks, SENDER_REPORT, 0, 6 + blocks * 6]);
    bytes.extend(sender.ssrc.to_be_bytes());
    bytes.extend(sender.ntp.to_be_bytes());
    for word in [sender.rtp_timestamp, sender.packets, sender.octets] {
        bytes.extend(word.to_be_bytes());
    }
    if let Some(received) = received {
        write_block(received, bytes);
    }
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    // One chunk: SSRC, one item, and at least one zero byte up to a word boundary.
    let chunk = (4 + 2 + cname.len() + 1).div_ceil(4) * 4;
    bytes.extend([0x81, SOURCE_DESCRIPTION]);
    bytes.extend((chunk as u16 / 4).to_be_bytes());
    let end = bytes.len() + chunk;
    bytes.extend(sender.ssrc.to_be_bytes());
    bytes.extend([CNAME, cname.len() as u8]);
    bytes.extend(cname);
    bytes.resize(end, 0);
    if is_last {
        bytes.extend([0x81, BYE, 0, 1]);
        bytes.extend(sender.ssrc.to_be_bytes());
    }
}

/// Returns a receiver report of `ssrc` with one report block.
pub fn receiver_report(ssrc: u32, received: &ReportBlock) -> Vec<u8> {
    let mut bytes = vec![0x81, RECEIVER_REPORT, 0, 7];
    bytes.extend(ssrc.to_be_bytes());
    write_block(received, &mut bytes);
    bytes
}

fn write_block(block: &ReportBlock, bytes: &mut Vec<u8>) {
    let lost = u32::from(block.fraction_lost) << 24 | (block.lost as u32 & 0xff_ffff);
    for word in [
        block.ssrc,
        lost,
        block.highest_sequence,
        block.jitter,
        block.last_report,
        block.since_last_report,
    ] {
        bytes.extend(word.to_be_bytes());
    }
}

/// Returns the SSRC of the sender of a compound packet, which is readable in a protected one too.
/// `None` if it is not RTCP.
pub fn sender_ssrc(datagram: &[u8]) -> Option<u32> {
    let header = datagram.first_chunk::<8>()?;
    (header[0] >> 6 == 2).then(|| word(header, 4))
}

/// Parses the items of a compound packet. Returns none for a datagram that is not RTCP.
pub fn parse(datagram: &[u8]) -> Vec<RtcpItem> {
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
            news.push(RtcpItem::SenderTime {
                ssrc: word(packet, 4),
                ntp_middle: word(packet, 8) << 16 | word(packet, 12) >> 16,
            });
        }
        let body = packet.get(first_block..).unwrap_or_default();
        let blocks = body.chunks_exact(24).take(count);
        news.extend(blocks.map(|bytes| RtcpItem::Block(parse_block(bytes))));
    }
    news
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn parse_block(bytes: &[u8]) -> ReportBlock {
    ReportBlock {
        ssrc: word(bytes, 0),
        fraction_lost: bytes[4],
        // A signed 24-bit number.
        lost: (word(bytes, 4) << 8) as i32 >> 8,
        highest_sequence: word(bytes, 8),
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

    const SENDER: SenderInfo = SenderInfo {
        ssrc: 0x0102_0304,
        ntp: 0x1112_1314_1516_1718,
        rtp_timestamp: 160,
        packets: 50,
        octets: 8000,
    };

    #[test]
    fn a_sender_report_has_the_layout_of_the_rfc() {
        let mut bytes = Vec::new();
        write_sender_report(&SENDER, None, "nexo@h", true, &mut bytes);
        assert_eq!(bytes[..4], [0x80, 200, 0, 6]);
        assert_eq!(bytes[4..8], [1, 2, 3, 4]);
        assert_eq!(bytes[8..16], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
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
    fn report_blocks_are_parsed_from_receiver_and_sender_reports() {
        let block = [1, 2, 3, 4, 64, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 33, 0, 0, 0, 7, 0, 0, 0, 8];
        let mut receiver = vec![0x81, 201, 0, 7, 9, 9, 9, 9];
        receiver.extend(block);
        let mut sender = Vec::new();
        write_sender_report(&SENDER, None, "x", false, &mut sender);
        sender.extend(&receiver);
        let expected = RtcpItem::Block(ReportBlock {
            ssrc: 0x0102_0304,
            fraction_lost: 64,
            lost: 9,
            highest_sequence: 256,
            jitter: 33,
            last_report: 7,
            since_last_report: 8,
        });
        let reported = RtcpItem::SenderTime { ssrc: SENDER.ssrc, ntp_middle: 0x1314_1516 };
        assert_eq!(parse(&receiver), [expected]);
        assert_eq!(parse(&sender), [reported, expected]);
        assert_eq!(parse(&receiver[..20]), []);
    }

    #[test]
    fn a_written_report_block_is_parsed_back() {
        let received = ReportBlock {
            ssrc: 77,
            fraction_lost: 3,
            lost: 0x12_3456,
            highest_sequence: 70_000,
            jitter: 12,
            last_report: 0x1314_1516,
            since_last_report: 65_536,
        };
        let mut bytes = Vec::new();
        write_sender_report(&SENDER, Some(&received), "x", false, &mut bytes);
        let [_, RtcpItem::Block(block)] = parse(&bytes)[..] else {
            panic!("no block");
        };
        assert_eq!((block.ssrc, block.fraction_lost, block.lost), (77, 3, 0x12_3456));
        // The far end waited one of the three seconds since the report.
        let now = SENDER.ntp + (3 << 32);
        assert_eq!(block.round_trip(now), Some(Duration::from_secs(2)));
        assert_eq!(block.round_trip(SENDER.ntp), None, "before it was sent");
    }

    #[test]
    fn a_negative_loss_keeps_its_sign() {
        let mut bytes = [0; 24];
        bytes[4..8].copy_from_slice(&[0, 0xff, 0xff, 0xfe]);
        assert_eq!(parse_block(&bytes).lost, -2);
        assert_eq!(parse_block(&bytes).round_trip(1 << 40), None);
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse(&bytes);
        }
    }
}
