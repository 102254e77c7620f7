//! `[reviews]`: which traffic is shown to operators as suspicious. It is never blocked.

use std::time::Duration;

use nexo_domain::account::traffic::Limits;

use crate::config::read::error::ConfigError;
use crate::config::read::section::Reader;

/// `[reviews]`.
#[derive(Debug, Clone)]
pub struct ReviewsConfig {
    /// The length of a window of traffic. Zero: no reviews.
    pub window: Duration,
    /// The delay between the end of a window and its check, so that its calls have ended.
    pub settle: Duration,
    pub limits: Limits,
}

impl ReviewsConfig {
    pub(in crate::config) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("reviews")?;
        let window: u64 = section.integer("window_seconds", 300, 0..=86_400)?;
        let settle: u64 = section.integer("settle_seconds", 90, 0..=600)?;
        let mut number = |key, default, range| section.integer::<u32>(key, default, range);
        Ok(Self {
            window: Duration::from_secs(window),
            settle: Duration::from_secs(settle),
            limits: Limits {
                min_otps: number("least_otps", 50, 1..=1_000_000)?.into(),
                jump: number("jump_times", 10, 2..=10_000)?.into(),
                sequential_percent: number("sequential_percent", 50, 1..=100)?.into(),
                answered_percent: number("answered_percent", 20, 0..=100)?.into(),
            },
        })
    }
}
