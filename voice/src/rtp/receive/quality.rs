//! How good a stream is: what arrives of the far end's (RFC 3550 §A.3, §A.8), and what a listener would
//! think of ours (ITU-T G.107, simplified).

use std::time::{Duration, Instant};

/// Timestamp units of G.711 in a second.
const UNITS_A_SECOND: u64 = 8000;
/// A jump in the sequence numbers by more than this is a new beginning (§A.1).
const LARGEST_GAP: u16 = 3000;

/// What has arrived of one source.
#[derive(Clone, Debug)]
pub struct Arrivals {
    ssrc: u32,
    first: u32,
    /// With the wraps above the lower 16 bits.
    highest: u32,
    received: u32,
    expected_before: u32,
    received_before: u32,
    /// In 1/16 of a timestamp unit.
    jitter: u32,
    transit: Option<u32>,
    /// The middle of the NTP time in the source's last report, and when that came.
    reported: Option<(u32, Instant)>,
}

/// What is said to the source about its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reception {
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Over all.
    pub lost: u32,
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
    pub last_report: u32,
    /// Since that report, in 1/65536 s.
    pub since_last_report: u32,
}

impl Arrivals {
    /// The first packet.
    pub fn start(ssrc: u32, sequence: u16) -> Arrivals {
        let first = u32::from(sequence);
        Arrivals {
            ssrc,
            first,
            highest: first,
            received: 0,
            expected_before: 0,
            received_before: 0,
            jitter: 0,
            transit: None,
            reported: None,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Takes a packet that came `since` any fixed time.
    pub fn take(&mut self, sequence: u16, timestamp: u32, since: Duration) {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < LARGEST_GAP {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
        } else if ahead < u16::MAX - LARGEST_GAP {
            *self = Arrivals {
                reported: self.reported,
                ..Arrivals::start(self.ssrc, sequence)
            };
        }
        self.received = self.received.saturating_add(1);
        let arrival = (since.as_micros() as u64 * UNITS_A_SECOND / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let change = (transit.wrapping_sub(before) as i32).unsigned_abs();
            // §A.8: an estimate in 1/16, of which 1/16 goes each time. A leap is a new talkspurt's.
            if u64::from(change) < UNITS_A_SECOND {
                self.jitter += change;
                self.jitter -= (self.jitter - change + 8) >> 4;
            }
        }
    }

    /// Takes a packet whose timestamp says nothing of when it was sent.
    pub fn take_untimed(&mut self, sequence: u16) {
        let transit = self.transit.take();
        self.take(sequence, 0, Duration::ZERO);
        self.transit = transit;
    }

    /// The source has reported at this time of its own.
    pub fn reported(&mut self, ntp_middle: u32, now: Instant) {
        self.reported = Some((ntp_middle, now));
    }

    /// How many packets are missing.
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

    /// What is to be reported now.
    pub fn report(&mut self, now: Instant) -> Reception {
        let expected = self.expected();
        let fresh = expected.saturating_sub(self.expected_before);
        let received = self.received.saturating_sub(self.received_before);
        (self.expected_before, self.received_before) = (expected, self.received);
        let lost = fresh.saturating_sub(received);
        let since = self
            .reported
            .map(|(_, at)| now.saturating_duration_since(at));
        Reception {
            ssrc: self.ssrc,
            fraction_lost: (u64::from(lost) * 256)
                .checked_div(fresh.into())
                .unwrap_or(0) as u8,
            lost: self.lost().min(0x7f_ffff),
            highest_sequence: self.highest,
            jitter: self.jitter(),
            last_report: self.reported.map_or(0, |(ntp, _)| ntp),
            since_last_report: since.map_or(0, |since| (since.as_secs_f64() * 65_536.0) as u32),
        }
    }
}

/// The mean opinion score, 1 (bad) to 4.4 (as good as G.711 gets), that the E-model expects of a stream:
/// `loss` from 0 to 1 with packets concealed, jitter and round trip as measured.
pub fn mean_opinion_score(loss: f64, jitter: Duration, round_trip: Duration) -> f64 {
    // One way: half the trip, a jitter buffer of twice the jitter, and a frame.
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

    /// Packets each 20 ms, but for those of `missing`, each late by `late`.
    fn arrivals(count: u32, missing: &[u32], late: impl Fn(u32) -> Duration) -> Arrivals {
        let first = u16::MAX - 5;
        let mut arrivals = Arrivals::start(9, first);
        for n in (0..count).filter(|n| !missing.contains(n)) {
            let sequence = first.wrapping_add(n as u16);
            arrivals.take(sequence, n * 160, MS * 20 * n + late(n));
        }
        arrivals
    }

    #[test]
    fn loss_is_counted_over_the_wrap_of_the_numbers() {
        let mut arrivals = arrivals(100, &[3, 50, 51], |_| Duration::ZERO);
        assert_eq!((arrivals.lost(), arrivals.jitter()), (3, 0));
        let report = arrivals.report(Instant::now());
        assert_eq!(report.lost, 3);
        assert_eq!(report.fraction_lost, (3 * 256 / 100) as u8);
        assert_eq!(report.highest_sequence, u32::from(u16::MAX - 5) + 99);
        assert_eq!(
            arrivals.report(Instant::now()).fraction_lost,
            0,
            "nothing new"
        );
    }

    #[test]
    fn jitter_comes_to_the_mean_difference() {
        let steady = arrivals(500, &[], |_| 70 * MS);
        assert_eq!(steady.jitter(), 0);
        let shaken = arrivals(
            500,
            &[],
            |n| if n % 2 == 0 { 5 * MS } else { Duration::ZERO },
        );
        // 5 ms are 40 units.
        assert!((36..=41).contains(&shaken.jitter()), "{}", shaken.jitter());
    }

    #[test]
    fn a_source_that_starts_anew_is_not_a_thousand_losses() {
        let mut arrivals = arrivals(10, &[], |_| Duration::ZERO);
        arrivals.take(30_000, 0, MS);
        arrivals.take(30_001, 160, 21 * MS);
        assert_eq!(arrivals.lost(), 0);
    }

    #[test]
    fn a_late_packet_is_not_lost_in_the_end() {
        let mut arrivals = Arrivals::start(1, 10);
        for (n, sequence) in [10_u16, 12, 11].into_iter().enumerate() {
            arrivals.take(sequence, u32::from(sequence) * 160, MS * 20 * n as u32);
        }
        assert_eq!(arrivals.lost(), 0);
    }

    #[test]
    fn since_the_last_report_is_said_in_65536ths() {
        let mut arrivals = Arrivals::start(1, 10);
        let now = Instant::now();
        assert_eq!(arrivals.report(now).last_report, 0);
        arrivals.reported(0xabcd_1234, now);
        let report = arrivals.report(now + Duration::from_millis(500));
        assert_eq!(
            (report.last_report, report.since_last_report),
            (0xabcd_1234, 32_768)
        );
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
