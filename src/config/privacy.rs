//! `[privacy]`: how long phone numbers are stored.

use super::read::error::ConfigError;
use super::read::section::Reader;

/// `[privacy]`.
#[derive(Debug, Clone)]
pub struct PrivacyConfig {
    /// The number of days after which the phone of a delivery and its webhooks is masked permanently. 0: never. A
    /// search by phone no longer finds the delivery, and a replayed webhook contains the masked phone.
    pub mask_phones_after_days: u32,
}

impl PrivacyConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("privacy")?;
        Ok(Self {
            mask_phones_after_days: section.integer("mask_phones_after_days", 0, 0..=36_500)?,
        })
    }
}
