//! Rates beside the daily quotas, for actions whose whole quota at once would hurt others. Each node counts its own.

use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::quota::QuotaExceeded;
use uuid::Uuid;

use crate::config::accounts::quotas::QuotasConfig;

const TEST_OTPS: &str = "test_otps_per_minute";
const TEST_EVENTS: &str = "test_events_per_minute";

/// The names of all rates.
pub const NAMES: [&str; 2] = [TEST_OTPS, TEST_EVENTS];

/// A rate per minute, by subject. 0: unlimited.
pub struct Rate {
    name: &'static str,
    per_minute: u32,
    limiter: Option<DefaultKeyedRateLimiter<Uuid>>,
}

impl Rate {
    fn new(name: &'static str, per_minute: u32) -> Rate {
        let quota = NonZeroU32::new(per_minute).map(Quota::per_minute);
        Rate { name, per_minute, limiter: quota.map(RateLimiter::keyed) }
    }

    /// Counts one action.
    ///
    /// # Errors
    /// If a minute's actions are used up.
    pub fn take(&self, subject: Uuid) -> Result<(), QuotaExceeded> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        limiter.check_key(&subject).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            QuotaExceeded::of_rate(self.name, self.per_minute, unix_ms(), wait_ms)
        })
    }

    fn remove_idle(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// The rates in force.
pub struct Rates {
    /// By account.
    pub test_otps: Rate,
    /// By endpoint.
    pub test_events: Rate,
}

impl Rates {
    pub fn of(config: &QuotasConfig) -> Rates {
        Rates {
            test_otps: Rate::new(TEST_OTPS, config.test_otps_per_minute),
            test_events: Rate::new(TEST_EVENTS, config.test_events_per_minute),
        }
    }

    /// Whether the configuration has the same rates.
    pub fn are_of(&self, config: &QuotasConfig) -> bool {
        self.test_otps.per_minute == config.test_otps_per_minute
            && self.test_events.per_minute == config.test_events_per_minute
    }

    /// Removes subjects without recent actions.
    pub fn remove_idle(&self) {
        self.test_otps.remove_idle();
        self.test_events.remove_idle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limits_each_subject_and_says_when_to_continue() {
        let rate = Rate::new("test_events_per_minute", 6);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for _ in 0..6 {
            rate.take(one).unwrap();
        }
        let exceeded = rate.take(one).unwrap_err();
        assert_eq!((exceeded.quota, exceeded.limit), ("test_events_per_minute", 6));
        assert!((1..=10).contains(&exceeded.retry_after_seconds), "{exceeded:?}");
        rate.take(other).unwrap();
        let unlimited = Rate::new("test_events_per_minute", 0);
        for _ in 0..1_000 {
            unlimited.take(one).unwrap();
        }
    }
}
