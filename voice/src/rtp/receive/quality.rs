//! Measures the quality of a received stream (RFC 3550 §A.3, §A.8), and estimates how a listener
//! would rate ours (ITU-T G.107, simplified).

use std::time::{Duration, Instant};

use crate::rtp::wire::rtcp::ReportBlock;

/// RTP timestamp units per second of G.711.
const UNITS_PER_SECOND: u64 = 8000;
/// A larger jump in the sequence numbers restarts the statistics (§A.1).
const MAX_GAP: u16 = 3000;
/// The cumulative loss has 24 bits and a sign.
const MAX_REPORTED_LOST: u32 = 0x7f_ffff;

/// The reception statistics of one source.
#[derive(Clone, Debug)]
pub struct ReceptionStats {
    ssrc: u32,
    first: u32,
    /// With the number of wraps in the upper 16 bits.
    highest: u32,
    received: u32,
    expected_before: u32,
    received_before: u32,
    /// In 1/16 of a timestamp unit.
    jitter: u32,
    transit: Option<u32>,
    /// The middle 32 bits of the NTP time in the source's last sender report, and the arrival of
    /// that report.
    sender_time: Option<(u32, Instant)>,
}

impl ReceptionStats {
    /// Starts with the sequence number of the first packet, which is still to be recorded.
    pub fn new(ssrc: u32, sequence: u16) -> ReceptionStats {
        let first = u32::from(sequence);
        ReceptionStats {
            ssrc,
            first,
            highest: first,
            received: 0,
            expected_before: 0,
            received_before: 0,
            jitter: 0,
            transit: None,
            sender_time: None,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Records a packet that arrived `since` after a fixed time.
    pub fn record(&mut self, sequence: u16, timestamp: u32, since: Duration) {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < MAX_GAP {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
        } else if ahead < u16::MAX - MAX_GAP {
            *self = ReceptionStats {
                sender_time: self.sender_time,
                ..ReceptionStats::new(self.ssrc, sequence)
            };
        }
        self.received = self.received.saturating_add(1);
        let arrival = (since.as_micros() as u64 * UNITS_PER_SECOND / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let change = (transit.wrapping_sub(before) as i32).unsigned_abs();
            // §A.8: the estimate is kept in 1/16 and decays by 1/16 per packet. A larger change is
            // the start of a talkspurt.
            if u64::from(change) < UNITS_PER_SECOND {
                self.jitter += change;
                self.jitter -= (self.jitter - change + 8) >> 4;
            }
        }
    }

    /// Records a packet whose timestamp is not its sending time.
    pub fn record_untimed(&mut self, sequence: u16) {
        let transit = self.transit.take();
        self.record(sequence, 0, Duration::ZERO);
        self.transit = transit;
    }

    /// Records the NTP time of a sender report of the source.
    pub fn record_sender_time(&mut self, ntp_middle: u32, now: Instant) {
        self.sender_time = Some((ntp_middle, now));
    }

    /// The number of packets that did not arrive.
    pub fn lost(&self) -> u32 {
        self.expected().saturating_sub(self.received)
    }

    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.first).wrapping_add(1)
    }

    /// In timestamp units.
    pub fn jitter(&self) -> u32 {
        self.jitter >> 4
    }

    /// Returns the report block for the source, and starts the next reporting interval.
    pub fn report_block(&mut self, now: Instant) -> ReportBlock {
        let expected = self.expected();
        let fresh = expected.saturating_sub(self.expected_before);
        let received = self.received.saturating_sub(self.received_before);
        (self.expected_before, self.received_before) = (expected, self.received);
        let lost = fresh.saturating_sub(received);
        let since = self.sender_time.map(|(_, at)| now.saturating_duration_since(at));
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (u64::from(lost) * 256).checked_div(fresh.into()).unwrap_or(0) as u8,
            lost: self.lost().min(MAX_REPORTED_LOST) as i32,
            highest_sequence: self.highest,
            jitter: self.jitter(),
            last_report: self.sender_time.map_or(0, |(ntp, _)| ntp),
            since_last_report: since.map_or(0, |since| (since.as_secs_f64() * 65_536.0) as u32),
        }
    }
}

/// Returns the mean opinion score, 1 (bad) to 4.4 (the best that G.711 reaches), that the E-model
/// predicts for a stream. `loss` is from 0 to 1, with loss concealment; jitter and round trip are
/// as measured.
pub fn mean_opinion_score(loss: f64, jitter: Duration, round_trip: Duration) -> f64 {
    // One way: half the round trip, a jitter buffer of twice the jitter, and a frame.
    let delay_ms = (round_trip / 2 + jitter * 2).as_secs_f64() * 1e3 + 20.0;
    // G.107 §7.4 in the usual approximation.
    let delayed = 0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0);
    // G.113 Appendix I: G.711 with concealment has Ie = 0 and Bpl = 25.1.
    let percent = loss.clamp(0.0, 1.0) * 100.0;
    let equipment = 95.0 * percent / (percent + 25.1);
    let rating = (93.2 - delayed - equipment).clamp(0.0, 100.0);
    let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    score.clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Records a packet each 20 ms except `missing` ones, each delayed by `late`.
    fn received(count: u32, missing: &[u32], late: impl Fn(u32) -> Duration) -> ReceptionStats {
        let first = u16::MAX - 5;
        let mut stats = ReceptionStats::new(9, first);
        for n in (0..count).filter(|n| !missing.contains(n)) {
            let sequence = first.wrapping_add(n as u16);
            stats.record(sequence, n * 160, MS * 20 * n + late(n));
        }
        stats
    }

    #[test]
    fn loss_is_counted_across_a_sequence_number_wrap() {
        let mut stats = received(100, &[3, 50, 51], |_| Duration::ZERO);
        assert_eq!((stats.lost(), stats.jitter()), (3, 0));
        let report = stats.report_block(Instant::now());
        assert_eq!(report.lost, 3);
        assert_eq!(report.fraction_lost, (3 * 256 / 100) as u8);
        assert_eq!(report.highest_sequence, u32::from(u16::MAX - 5) + 99);
        assert_eq!(stats.report_block(Instant::now()).fraction_lost, 0, "no packets since");
    }

    #[test]
    fn jitter_approaches_the_mean_difference() {
        let steady = received(500, &[], |_| 70 * MS);
        assert_eq!(steady.jitter(), 0);
        let jittery = received(500, &[], |n| if n % 2 == 0 { 5 * MS } else { Duration::ZERO });
        // 5 ms are 40 units.
        assert!((36..=41).contains(&jittery.jitter()), "{}", jittery.jitter());
    }

    #[test]
    fn a_restarted_source_is_not_counted_as_loss() {
        let mut stats = received(10, &[], |_| Duration::ZERO);
        stats.record(30_000, 0, MS);
        stats.record(30_001, 160, 21 * MS);
        assert_eq!(stats.lost(), 0);
    }

    #[test]
    fn a_late_packet_is_not_counted_as_lost() {
        let mut stats = ReceptionStats::new(1, 10);
        for (n, sequence) in [10_u16, 12, 11].into_iter().enumerate() {
            stats.record(sequence, u32::from(sequence) * 160, MS * 20 * n as u32);
        }
        assert_eq!(stats.lost(), 0);
    }

    #[test]
    fn the_delay_since_the_last_report_is_in_units_of_1_65536_s() {
        let mut stats = ReceptionStats::new(1, 10);
        let now = Instant::now();
        assert_eq!(stats.report_block(now).last_report, 0);
        stats.record_sender_time(0xabcd_1234, now);
        let report = stats.report_block(now + Duration::from_millis(500));
        assert_eq!((report.last_report, report.since_last_report), (0xabcd_1234, 32_768));
    }

    #[test]
    fn the_score_falls_with_loss_and_delay() {
        let none = Duration::ZERO;
        let best = mean_opinion_score(0.0, none, none);
        assert!((4.35..=4.45).contains(&best), "{best}");
        let lossy = mean_opinion_score(0.05, none, none);
        assert!((3.7..=4.0).contains(&lossy), "{lossy}");
        let far = mean_opinion_score(0.0, none, 600 * MS);
        assert!(far < 4.0 && far > 3.0, "{far}");
        assert!(mean_opinion_score(1.0, none, none) < 2.0);
        assert!(mean_opinion_score(7.0, 10_000 * MS, 90_000 * MS) >= 1.0);
    }
}
