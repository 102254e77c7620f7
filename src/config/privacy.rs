//! `[privacy]`: how long a phone is kept.

use super::read::error::ConfigError;
use super::read::section::Reader;

/// `[privacy]`.
#[derive(Debug, Clone)]
pub struct PrivacyConfig {
    /// After so many days the phone of a delivery is masked for good, and wherever its webhooks tell it; 0
    /// keeps it. Then a search by phone finds it no more, and a replayed webhook tells the masked one.
    pub mask_phones_after_days: u32,
}

impl PrivacyConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("privacy")?;
        Ok(Self {
            mask_phones_after_days: section.whole("mask_phones_after_days", 0, 0..=36_500)?,
        })
    }
}
