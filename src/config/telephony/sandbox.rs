//! `[sandbox]`: the built-in carrier.

use crate::config::read::error::ConfigError;
use crate::config::read::section::Reader;

/// `[sandbox]`.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Whether it runs. It serves test keys, and live keys as long as no carrier has a gateway.
    pub enabled: bool,
    /// The percentage of audio packets that it drops, to test a bad audio path.
    pub loss_percent: u8,
    /// The maximum random delay of audio packets.
    pub jitter_ms: u32,
    /// The directory for each call's audio and heard digits, which are codes in clear. Empty: not saved.
    pub record_dir: String,
}

impl SandboxSettings {
    pub(in crate::config) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("sandbox")?;
        Ok(Self {
            enabled: section.flag("enabled", true)?,
            loss_percent: section.integer("loss_percent", 0, 0..=100)?,
            jitter_ms: section.integer("jitter_ms", 0, 0..=2_000)?,
            record_dir: section.string("record_dir", "a directory, or empty")?,
        })
    }
}
