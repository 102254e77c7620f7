//! What the callee reports of the caller's stream: loss and jitter (RFC 3550 §6.4.2, A.3, A.8).

use std::time::Instant;

use crate::rtp::wire::packet::Header;

const VERSION_AND_ONE_BLOCK: u8 = 0x81;
const RECEIVER_REPORT: u8 = 201;
/// Length of the packet in words, less one.
const WORDS: u16 = 7;
/// RTP timestamp units a millisecond.
const UNITS_A_MS: u64 = 8;

/// Counts of one received stream.
pub(in crate::sandbox) struct ReceivedStream {
    ssrc: u32,
    start: Instant,
    first_sequence: u32,
    highest_sequence: u32,
    received: u32,
    /// Transit time of the last packet, in timestamp units and with an arbitrary zero.
    transit: u32,
    /// Sixteenfold, as A.8 keeps it.
    jitter: u32,
    expected_before: u32,
    received_before: u32,
}

impl ReceivedStream {
    /// A stream that begins with this packet.
    pub fn of(first: &Header, now: Instant) -> ReceivedStream {
        let sequence = u32::from(first.sequence);
        ReceivedStream {
            ssrc: first.ssrc,
            start: now,
            first_sequence: sequence,
            highest_sequence: sequence,
            received: 1,
            transit: 0u32.wrapping_sub(first.timestamp),
            jitter: 0,
            expected_before: 0,
            received_before: 0,
        }
    }

    /// Counts a further packet. Another source's begins a new stream.
    pub fn count(&mut self, header: &Header, now: Instant) {
        if header.ssrc != self.ssrc {
            *self = ReceivedStream::of(header, now);
            return;
        }
        self.received += 1;
        let ahead = header.sequence.wrapping_sub(self.highest_sequence as u16) as i16;
        if let Ok(ahead) = u32::try_from(ahead) {
            self.highest_sequence = self.highest_sequence.wrapping_add(ahead);
        }
        let elapsed = now.saturating_duration_since(self.start).as_micros() as u64;
        let arrival = (elapsed * UNITS_A_MS / 1000) as u32;
        let transit = arrival.wrapping_sub(header.timestamp);
        let change = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
        self.transit = transit;
        let settled = (self.jitter + 8) >> 4;
        self.jitter = self.jitter.saturating_add(change).saturating_sub(settled);
    }

    /// A receiver report, as `own_ssrc`.
    pub fn report(&mut self, own_ssrc: u32) -> Vec<u8> {
        let expected = self.highest_sequence - self.first_sequence + 1;
        let lost = i64::from(expected) - i64::from(self.received);
        let expected_now = expected - self.expected_before;
        let received_now = self.received - self.received_before;
        (self.expected_before, self.received_before) = (expected, self.received);
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction = (lost_now * 256).checked_div(expected_now).unwrap_or(0);
        let cumulative = lost.clamp(-0x80_0000, 0x7f_ffff) as i32;

        let mut bytes = vec![VERSION_AND_ONE_BLOCK, RECEIVER_REPORT];
        bytes.extend(WORDS.to_be_bytes());
        bytes.extend(own_ssrc.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.push(fraction.min(255) as u8);
        bytes.extend(&cumulative.to_be_bytes()[1..]);
        bytes.extend(self.highest_sequence.to_be_bytes());
        bytes.extend((self.jitter >> 4).to_be_bytes());
        // No sender report is answered to: neither its time nor the delay since.
        bytes.extend([0; 8]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rtp::wire::rtcp::{ReportBlock, report_blocks};

    /// Receives those of 100 packets for which `delay` gives a delay in ms.
    fn stream(delay: impl Fn(u16) -> Option<u64>) -> ReceivedStream {
        let start = Instant::now();
        let mut stream = ReceivedStream::of(&header_at(0), start);
        for n in 1..100 {
            if let Some(ms) = delay(n) {
                let at = start + Duration::from_millis(u64::from(n) * 20 + ms);
                stream.count(&header_at(n), at);
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
        let report = stream.report(9);
        assert_eq!(report.len(), 32);
        report_blocks(&report)[0]
    }

    #[test]
    fn an_even_stream_is_reported_without_loss_or_jitter() {
        let mut stream = stream(|_| Some(0));
        let expected = ReportBlock {
            ssrc: 5,
            fraction_lost: 0,
            lost: 0,
            jitter: 0,
            last_report: 0,
            since_last_report: 0,
        };
        assert_eq!(block(&mut stream), expected);
        let report = stream.report(9);
        // The sequence has wrapped around once: 65,530 + 99.
        assert_eq!(report[16..20], 65_629u32.to_be_bytes());
    }

    #[test]
    fn a_quarter_lost_is_reported_once_and_in_total() {
        let mut stream = stream(|n| (n % 4 != 1).then_some(0));
        assert_eq!(block(&mut stream).fraction_lost, 64);
        let report = stream.report(9);
        assert_eq!(report[12], 0);
        assert_eq!(report[13..16], [0, 0, 25]);
    }

    #[test]
    fn uneven_delays_are_jitter() {
        let mut stream = stream(|n| Some(u64::from(n % 2) * 10));
        // Every packet is 10 ms, or 80 units, off its neighbours.
        let jitter = block(&mut stream).jitter;
        assert!((75..=80).contains(&jitter), "{jitter}");
    }
}
