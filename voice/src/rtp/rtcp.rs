//! RTCP (RFC 3550 §6): what a sender reports, and what it reads in the far end's reports.

use std::time::{SystemTime, UNIX_EPOCH};

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
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
}

/// A point in time as NTP counts it.
pub fn ntp(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() + NTP_OFFSET_SECONDS;
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

/// Appends a compound packet: sender report and CNAME, and a BYE where the stream ends.
pub fn write(report: &SenderReport, cname: &str, goodbye: bool, bytes: &mut Vec<u8>) {
    bytes.extend([0x80, SENDER_REPORT, 0, 6]);
    bytes.extend(report.ssrc.to_be_bytes());
    bytes.extend(report.ntp.to_be_bytes());
    for word in [report.rtp_timestamp, report.packets, report.octets] {
        bytes.extend(word.to_be_bytes());
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

/// The report blocks of a compound packet; none for what is no RTCP.
pub fn report_blocks(datagram: &[u8]) -> Vec<ReportBlock> {
    let mut blocks = Vec::new();
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
        let body = packet.get(first_block..).unwrap_or_default();
        blocks.extend(body.chunks_exact(24).take(count).map(block));
    }
    blocks
}

fn block(bytes: &[u8]) -> ReportBlock {
    let word =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    ReportBlock {
        ssrc: word(0),
        fraction_lost: bytes[4],
        jitter: word(12),
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
        write(&REPORT, "nexo@h", true, &mut bytes);
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
            1, 2, 3, 4, 64, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let mut receiver = vec![0x81, 201, 0, 7, 9, 9, 9, 9];
        receiver.extend(block);
        let mut sender = Vec::new();
        write(&REPORT, "x", false, &mut sender);
        sender.extend(&receiver);
        let expected = ReportBlock {
            ssrc: 0x0102_0304,
            fraction_lost: 64,
            jitter: 33,
        };
        assert_eq!(report_blocks(&receiver), [expected]);
        assert_eq!(report_blocks(&sender), [expected]);
        assert_eq!(report_blocks(&receiver[..20]), []);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = report_blocks(&bytes);
        }
    }
}
