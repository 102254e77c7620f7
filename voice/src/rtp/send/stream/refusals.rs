//! The packets of one stream that the far end's host has refused (ICMP destination unreachable).

use crate::speech::prompts::FRAME_MS;

/// A longer time without a refusal ends a series of them. A host sends about one error a second for any
/// number of packets (RFC 1812 §4.3.2.8).
const MAX_GAP_TICKS: u32 = 2500 / FRAME_MS;

/// The series of refusals that goes on. Times are the stream's ticks.
pub(super) struct Refusals {
    /// How long a series means that the far end does not exist. 0: no limit.
    limit: u32,
    /// The first and the last refusal of the series.
    series: Option<(u32, u32)>,
}

impl Refusals {
    pub fn new(limit: u32) -> Refusals {
        Refusals { limit, series: None }
    }

    /// Forgets the refusals of another address.
    pub fn reset(&mut self) {
        self.series = None;
    }

    pub fn record(&mut self, now: u32) {
        let first =
            self.series.filter(|series| goes_on(*series, now)).map_or(now, |(first, _)| first);
        self.series = Some((first, now));
    }

    /// Whether a series goes on, however short.
    pub fn go_on(&self, now: u32) -> bool {
        self.limit > 0 && self.series.is_some_and(|series| goes_on(series, now))
    }

    /// Whether a series goes on and has reached the limit.
    pub fn reach_limit(&self, now: u32) -> bool {
        let lasts = self
            .series
            .is_some_and(|series| goes_on(series, now) && now.wrapping_sub(series.0) >= self.limit);
        self.limit > 0 && lasts
    }
}

fn goes_on((_, last): (u32, u32), now: u32) -> bool {
    now.wrapping_sub(last) <= MAX_GAP_TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_series_of_refusals_reaches_the_limit() {
        let mut refusals = Refusals::new(250);
        assert!(!refusals.reach_limit(1000));
        for now in [0, 50, 100, 150, 200] {
            refusals.record(now);
            assert!(!refusals.reach_limit(now));
        }
        assert!(refusals.reach_limit(250));
        assert!(!refusals.reach_limit(200 + MAX_GAP_TICKS + 1), "the port has opened");
        refusals.record(900);
        assert!(refusals.go_on(900) && !refusals.reach_limit(900), "another series");
        refusals.reset();
        assert_eq!(refusals.series, None);
    }

    #[test]
    fn without_a_limit_nothing_reaches_it() {
        let mut refusals = Refusals::new(0);
        (0..1000).for_each(|now| refusals.record(now));
        assert!(!refusals.reach_limit(1000) && !refusals.go_on(1000));
    }
}
