//! `[quotas]`: how often accounts and visitors may do what costs nothing.

use nexo_domain::account::quota::{MAX_LIMIT, QuotaKind, QuotaLimits};

use crate::config::read::error::ConfigError;
use crate::config::read::section::Reader;

/// `[quotas]`. 0 means unlimited.
#[derive(Debug, Clone, Copy)]
pub struct QuotasConfig {
    /// The limits per day, one key for each kind.
    pub limits: QuotaLimits,
    /// OTPs of an account's test keys in a minute.
    pub test_otps_per_minute: u32,
    /// Test events to a webhook endpoint in a minute.
    pub test_events_per_minute: u32,
}

impl QuotasConfig {
    pub(in crate::config) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("quotas")?;
        let mut number = |key, default: u32| {
            section.integer::<u32>(key, default.into(), 0..=i64::from(MAX_LIMIT))
        };
        let mut limits = QuotaLimits::default();
        for kind in QuotaKind::ALL {
            limits.set(kind, number(kind.config_key(), kind.default_limit())?);
        }
        Ok(Self {
            limits,
            test_otps_per_minute: number("test_otps_per_minute", 120)?,
            test_events_per_minute: number("test_events_per_minute", 6)?,
        })
    }
}
