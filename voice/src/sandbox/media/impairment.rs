//! Simulates a bad network path: loses and delays received RTP packets.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Loses and delays packets, reproducibly for the same seed.
pub(crate) struct Impairment {
    loss_percent: u8,
    jitter: Duration,
    random: StdRng,
}

impl Impairment {
    /// Creates a path that loses `loss_percent` of the packets and delays each other one by up to
    /// `jitter`.
    pub fn new(loss_percent: u8, jitter: Duration, seed: u64) -> Impairment {
        Impairment { loss_percent, jitter, random: StdRng::seed_from_u64(seed) }
    }

    /// Returns the delay of the next packet, or `None` if it is lost.
    pub fn delay_of_next(&mut self) -> Option<Duration> {
        if self.loss_percent > 0 && self.random.random_range(0..100) < self.loss_percent {
            return None;
        }
        if self.jitter.is_zero() {
            return Some(Duration::ZERO);
        }
        let max = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX);
        Some(Duration::from_micros(self.random.random_range(0..=max)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(loss_percent: u8, jitter_ms: u64, seed: u64) -> Vec<Option<Duration>> {
        let mut path = Impairment::new(loss_percent, Duration::from_millis(jitter_ms), seed);
        (0..1000).map(|_| path.delay_of_next()).collect()
    }

    #[test]
    fn a_good_path_neither_loses_nor_delays() {
        assert!(delays(0, 0, 1).iter().all(|f| *f == Some(Duration::ZERO)));
    }

    #[test]
    fn loss_and_jitter_are_as_configured_and_repeat_with_the_seed() {
        let first = delays(60, 40, 7);
        let lost = first.iter().filter(|f| f.is_none()).count();
        assert!((550..650).contains(&lost), "{lost} of 1000 lost");
        let longest = first.iter().flatten().max().unwrap();
        assert!((30..=40).contains(&longest.as_millis()), "{longest:?}");
        assert_eq!(first, delays(60, 40, 7));
        assert_ne!(first, delays(60, 40, 8));
        assert!(delays(100, 0, 1).iter().all(Option::is_none));
    }
}
