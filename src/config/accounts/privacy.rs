//! `[privacy]`: how long phone numbers and test records are stored.

use crate::config::read::error::ConfigError;
use crate::config::read::section::Reader;

/// `[privacy]`.
#[derive(Debug, Clone)]
pub struct PrivacyConfig {
    /// The number of days after which the phone of a delivery and its webhooks is masked permanently. 0: never. A
    /// search by phone no longer finds the delivery, and a replayed webhook contains the masked phone.
    pub mask_phones_after_days: u32,
    /// The number of days after which OTPs of test keys and test events are deleted. 0: never.
    pub test_deliveries_days: u32,
}

impl PrivacyConfig {
    pub(in crate::config) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("privacy")?;
        Ok(Self {
            mask_phones_after_days: section.integer("mask_phones_after_days", 0, 0..=36_500)?,
            test_deliveries_days: section.integer("test_deliveries_days", 7, 0..=36_500)?,
        })
    }
}
