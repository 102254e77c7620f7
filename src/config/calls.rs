//! `[calls]`: how a code is read, and how long is waited for what.

use nexo_domain::otp::Language;

use super::error::ConfigError;
use super::section::Reader;
use super::source::Source;

/// `[calls]`.
#[derive(Debug, Clone)]
pub struct CallsConfig {
    /// The language of accounts that chose none.
    pub language: Language,
    /// How often the code is read. Each reading makes the call some seconds longer.
    pub repeat: u8,
    /// The silence between two digits. Less is hard to write down; more makes the call longer.
    pub digit_gap_ms: u32,
    /// Whether the code is read only after a key was pressed, so that no voicemail hears it.
    pub require_keypress: bool,
    /// How long all gateways of a carrier together may take to accept a call. After it the customer
    /// gets a 502 and the price back.
    pub dispatch_timeout_ms: u64,
    /// How long one gateway may stay silent before the next one is tried.
    pub gateway_timeout_ms: u64,
    /// How long a phone rings before we hang up.
    pub ring_timeout_seconds: u64,
}

impl CallsConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("calls")?;
        let calls = Self {
            language: section.choice(
                "language",
                "vi",
                &[("vi", Language::Vi), ("en", Language::En)],
            )?,
            repeat: section.whole("repeat", 2, 1..=3)?,
            digit_gap_ms: section.whole("digit_gap_ms", 350, 100..=2_000)?,
            require_keypress: section.flag("require_keypress", false)?,
            dispatch_timeout_ms: section.whole("dispatch_timeout_ms", 4_000, 1..=30_000)?,
            gateway_timeout_ms: section.whole("gateway_timeout_ms", 2_000, 1..=30_000)?,
            // A call ends within 60 s of its acceptance, and the code has yet to be read.
            ring_timeout_seconds: section.whole("ring_timeout_seconds", 30, 1..=40)?,
        };
        calls.check_timeouts(reader)?;
        Ok(calls)
    }

    /// Blames the key that was set, where only one of the two was.
    fn check_timeouts(&self, reader: &Reader) -> Result<(), ConfigError> {
        let (one, all) = (self.gateway_timeout_ms, self.dispatch_timeout_ms);
        let key = "calls.gateway_timeout_ms";
        if one <= all {
            Ok(())
        } else if reader.source(key) == Source::Default {
            let least = format!("at least gateway_timeout_ms ({one})");
            Err(reader.refuse("calls.dispatch_timeout_ms", least))
        } else {
            let most = format!("at most dispatch_timeout_ms ({all})");
            Err(reader.refuse(key, most))
        }
    }
}
