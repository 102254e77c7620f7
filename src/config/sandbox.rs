//! `[sandbox]`: the built-in carrier.

use super::read::error::ConfigError;
use super::read::section::Reader;

/// `[sandbox]`.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Whether it runs. It serves every carrier that has no gateway of its own, and all test keys.
    pub enabled: bool,
    /// The share of audio packets that it loses, to see what a bad path does to a code.
    pub loss_percent: u8,
    /// How much later, at random, audio packets reach its ears.
    pub jitter_ms: u32,
    /// Where it saves each call's audio and what it heard: codes in clear. Empty: nowhere.
    pub record_dir: String,
}

impl SandboxSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("sandbox")?;
        Ok(Self {
            enabled: section.flag("enabled", true)?,
            loss_percent: section.whole("loss_percent", 0, 0..=100)?,
            jitter_ms: section.whole("jitter_ms", 0, 0..=2_000)?,
            record_dir: section.parsed("record_dir", "", "a directory, or empty", |text| {
                Some(text.to_owned())
            })?,
        })
    }
}
