//! The receiver reports that the callee sends about the caller's stream (RFC 3550 §6.4.2).

use std::time::Instant;

use crate::rtp::receive::quality::ReceptionStats;
use crate::rtp::wire::packet::Header;
use crate::rtp::wire::rtcp;

/// The reception statistics of the caller's stream.
pub(crate) struct ReceivedStream {
    stats: ReceptionStats,
    /// The arrival of the first packet.
    start: Instant,
}

impl ReceivedStream {
    /// Starts with the first packet.
    pub fn new(first: &Header, now: Instant) -> ReceivedStream {
        let mut stream =
            ReceivedStream { stats: ReceptionStats::new(first.ssrc, first.sequence), start: now };
        stream.record(first, now);
        stream
    }

    /// Records a further packet. A packet of another source starts a new stream.
    pub fn record(&mut self, header: &Header, now: Instant) {
        if header.ssrc != self.stats.ssrc() {
            *self = ReceivedStream::new(header, now);
            return;
        }
        let since = now.saturating_duration_since(self.start);
        self.stats.record(header.sequence, header.timestamp, since);
    }

    /// Returns a receiver report of `own_ssrc`. The caller's sender reports are not read, so the report
    /// names none.
    pub fn report(&mut self, own_ssrc: u32, now: Instant) -> Vec<u8> {
        rtcp::receiver_report(own_ssrc, &self.stats.report_block(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rtp::wire::rtcp::{ReportBlock, RtcpItem};

    /// Receives those of 100 packets for which `delay` returns a delay in ms.
    fn stream(delay: impl Fn(u16) -> Option<u64>) -> ReceivedStream {
        let start = Instant::now();
        let mut stream = ReceivedStream::new(&header_at(0), start);
        for n in 1..100 {
            if let Some(ms) = delay(n) {
                let at = start + Duration::from_millis(u64::from(n) * 20 + ms);
                stream.record(&header_at(n), at);
            }
        }
        stream
    }

    fn header_at(n: u16) -> Header {
        Header {
            marker: false,
            payload_type: 8,
            sequence: 65_530u16.wrapping_add(n),
            timestamp: (u32::MAX - 500).wrapping_add(u32::from(n) * 160),
            ssrc: 5,
        }
    }

    fn block(stream: &mut ReceivedStream) -> ReportBlock {
        let report = stream.report(9, Instant::now());
        assert_eq!(report.len(), 32);
        let [RtcpItem::Block(block)] = rtcp::parse(&report)[..] else {
            panic!("{report:?}");
        };
        block
    }

    #[test]
    fn a_regular_stream_is_reported_without_loss_or_jitter() {
        let mut stream = stream(|_| Some(0));
        let expected = ReportBlock {
            ssrc: 5,
            fraction_lost: 0,
            lost: 0,
            highest_sequence: 65_629,
            jitter: 0,
            last_report: 0,
            since_last_report: 0,
        };
        assert_eq!(block(&mut stream), expected);
        let report = stream.report(9, Instant::now());
        // The sequence has wrapped around once: 65,530 + 99.
        assert_eq!(report[16..20], 65_629u32.to_be_bytes());
    }

    #[test]
    fn a_quarter_lost_is_reported_once_and_in_total() {
        let mut stream = stream(|n| (n % 4 != 1).then_some(0));
        assert_eq!(block(&mut stream).fraction_lost, 64);
        let report = stream.report(9, Instant::now());
        assert_eq!(report[12], 0);
        assert_eq!(report[13..16], [0, 0, 25]);
    }

    #[test]
    fn irregular_delays_are_jitter() {
        let mut stream = stream(|n| Some(u64::from(n % 2) * 10));
        // Every packet is 10 ms, or 80 units, off its neighbours.
        let jitter = block(&mut stream).jitter;
        assert!((75..=80).contains(&jitter), "{jitter}");
    }
}
