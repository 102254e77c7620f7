//! `[calls]`: how the code is read, and the timeouts of a call.

use std::time::Duration;

use nexo_domain::otp::{Code, Language, Reading};
use nexo_voice::audio::g711::Codec;
use nexo_voice::speech::prompts::PromptSet;

use crate::config::read::error::ConfigError;
use crate::config::read::section::Reader;
use crate::config::read::source::Source;

/// The longest call, from acceptance to the end. Less than the 60 s promised to customers.
pub const MAX_CALL: Duration = Duration::from_secs(57);

/// `[calls]`.
#[derive(Debug, Clone)]
pub struct CallsConfig {
    /// The language for accounts without a language of their own.
    pub language: Language,
    /// How often the code is read. Each reading takes several seconds.
    pub repeat: u8,
    /// The silence between two digits. Shorter gaps are hard to write down; longer gaps prolong the call.
    pub digit_gap_ms: u32,
    /// Whether the code is read only after a key press, so that a voicemail does not record it.
    pub require_keypress: bool,
    /// The time for all gateways of a carrier together to accept a call. Then the customer receives 502 and a
    /// refund.
    pub dispatch_timeout_ms: u64,
    /// The time without a response after which the next gateway, if any, is tried. Limited by the rest of
    /// `dispatch_timeout_ms`.
    pub gateway_timeout_ms: u64,
    /// How long a phone rings before the call is cancelled.
    pub ring_timeout_seconds: u64,
    /// The directory of the recordings imported by `nexo prompts import`. Empty: the built-in voice.
    pub voice_dir: String,
    /// How long a far end from which nothing was ever received may refuse our audio (ICMP) until the call is hung up.
    /// 0: for ever.
    pub media_timeout_seconds: u64,
}

impl CallsConfig {
    pub(in crate::config) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("calls")?;
        let calls = Self {
            language: section.choice(
                "language",
                "vi",
                &[("vi", Language::Vi), ("en", Language::En)],
            )?,
            repeat: section.integer("repeat", 2, 1..=3)?,
            digit_gap_ms: section.integer("digit_gap_ms", 350, 100..=2_000)?,
            require_keypress: section.flag("require_keypress", false)?,
            dispatch_timeout_ms: section.integer("dispatch_timeout_ms", 4_000, 1..=30_000)?,
            gateway_timeout_ms: section.integer("gateway_timeout_ms", 2_000, 1..=30_000)?,
            // A call ends within 60 s of acceptance, including one reading of the code.
            ring_timeout_seconds: section.integer("ring_timeout_seconds", 30, 1..=40)?,
            voice_dir: section.string("voice_dir", "a directory, or empty")?,
            media_timeout_seconds: section.integer("media_timeout_seconds", 5, 0..=60)?,
        };
        calls.check_length(reader)?;
        Ok(calls)
    }

    /// Checks that a phone answered at the last moment still hears an 8-digit code once. The error names
    /// `digit_gap_ms` if it is set, otherwise `ring_timeout_seconds`. Recordings are checked when they are loaded.
    fn check_length(&self, reader: &Reader) -> Result<(), ConfigError> {
        if !self.voice_dir.is_empty() {
            return Ok(());
        }
        let longest = longest_reading(PromptSet::built_in(), self.digit_gap_ms);
        let reading_seconds = longest.as_secs_f32().ceil() as u64;
        let max_ring = MAX_CALL.as_secs().saturating_sub(reading_seconds);
        if self.ring_timeout_seconds <= max_ring {
            return Ok(());
        }
        let key = "calls.digit_gap_ms";
        match reader.source(key) {
            Source::Default => {
                let expected = format!(
                    "at most {max_ring}: a call lasts at most {MAX_CALL:?}, and 8 digits take {reading_seconds} s"
                );
                Err(reader.invalid("calls.ring_timeout_seconds", expected))
            }
            _ => {
                let ring = self.ring_timeout_seconds;
                let expected = format!(
                    "less, or a shorter ring_timeout_seconds (now {ring}): 8 digits take {reading_seconds} s, and a call lasts at most {MAX_CALL:?}"
                );
                Err(reader.invalid(key, expected))
            }
        }
    }
}

/// Returns the duration of the longest reading of an 8-digit code in either language.
pub fn longest_reading(prompts: &PromptSet, digit_gap_ms: u32) -> Duration {
    let codes = (0..10).filter_map(|digit: u8| Code::parse(&digit.to_string().repeat(8)).ok());
    let lengths = codes.flat_map(|code| {
        [Language::Vi, Language::En].map(|language| {
            let reading = Reading { language, repeat: 1, digit_gap_ms };
            let script = prompts.script(&code, reading, Codec::Pcma);
            script.duration()
        })
    });
    lengths.max().unwrap_or_default()
}
