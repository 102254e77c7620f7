//! `[calls]`: how a code is read, and how long is waited for what.

use std::time::Duration;

use nexo_domain::otp::{Code, Language, Reading};
use nexo_voice::audio::g711::Codec;
use nexo_voice::speech::prompts::PromptSet;

use super::read::error::ConfigError;
use super::read::section::Reader;
use super::read::source::Source;

/// From acceptance to the end of a call. Below the 60 s that customers are promised.
pub const MAX_CALL: Duration = Duration::from_secs(57);

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
    /// How long one gateway may stay silent before the next one is tried, where there is one. At most what is left
    /// of `dispatch_timeout_ms`.
    pub gateway_timeout_ms: u64,
    /// How long a phone rings before we hang up.
    pub ring_timeout_seconds: u64,
    /// Where `nexo prompts import` keeps the recordings that speak in place of the built-in voice. Empty: the
    /// built-in voice.
    pub voice_dir: String,
    /// How long a far end whose audio has been heard may fall silent, RTCP included, before the call is
    /// hung up. 0: for ever.
    pub media_timeout_seconds: u64,
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
            voice_dir: section.parsed("voice_dir", "", "a directory, or empty", |text| {
                Some(text.to_owned())
            })?,
            media_timeout_seconds: section.whole("media_timeout_seconds", 20, 0..=60)?,
        };
        calls.check_length(reader)?;
        Ok(calls)
    }

    /// A phone that is answered at the last moment must still hear an 8-digit code once. Blames the key
    /// that was set, where only one of the two was. Recordings are looked at when they are read.
    fn check_length(&self, reader: &Reader) -> Result<(), ConfigError> {
        if !self.voice_dir.is_empty() {
            return Ok(());
        }
        let longest = longest_reading(PromptSet::built_in(), self.digit_gap_ms);
        let reading_seconds = longest.as_secs_f32().ceil() as u64;
        let most = MAX_CALL.as_secs().saturating_sub(reading_seconds);
        if self.ring_timeout_seconds <= most {
            return Ok(());
        }
        let key = "calls.digit_gap_ms";
        match reader.source(key) {
            Source::Default => {
                let allowed = format!(
                    "at most {most}: a call lasts {MAX_CALL:?} at most, and 8 digits take {reading_seconds} s"
                );
                Err(reader.refuse("calls.ring_timeout_seconds", allowed))
            }
            _ => {
                let (ring, longest) = (self.ring_timeout_seconds, MAX_CALL);
                let allowed = format!(
                    "less, or a shorter ring_timeout_seconds (now {ring}): 8 digits take {reading_seconds} s, and a call lasts {longest:?} at most"
                );
                Err(reader.refuse(key, allowed))
            }
        }
    }
}

/// How long one reading of the longest code takes, in the language that takes longer.
pub fn longest_reading(prompts: &PromptSet, digit_gap_ms: u32) -> Duration {
    let codes = (0..10).filter_map(|digit: u8| Code::parse(&digit.to_string().repeat(8)).ok());
    let lengths = codes.flat_map(|code| {
        [Language::Vi, Language::En].map(|language| {
            let reading = Reading {
                language,
                repeat: 1,
                digit_gap_ms,
            };
            let script = prompts.script(&code, reading, Codec::Pcma);
            script.duration()
        })
    });
    lengths.max().unwrap_or_default()
}
