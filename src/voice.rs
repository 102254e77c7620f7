//! The voice of the calls: the recordings in `calls.voice_dir`, or the built-in one.

use std::path::Path;

use anyhow::{Context, bail};
use nexo_voice::speech::prompts::PromptSet;
use nexo_voice::speech::recordings;
use parking_lot::Mutex;

use crate::config::Config;
use crate::config::telephony::calls::{MAX_CALL, longest_reading};

/// The prompts of the calls. Recordings stay in memory until the process ends.
///
/// # Errors
/// If the recordings cannot be read, or are too long for the longest call.
pub fn prompts(config: &Config) -> anyhow::Result<&'static PromptSet> {
    Ok(recorded(config)?.unwrap_or_else(PromptSet::built_in))
}

/// The recordings, if configured.
///
/// # Errors
/// As [`prompts`].
pub fn recorded(config: &Config) -> anyhow::Result<Option<&'static PromptSet>> {
    let calls = &config.calls;
    if calls.voice_dir.is_empty() {
        return Ok(None);
    }
    let prompts = loaded(&calls.voice_dir)?;
    let reading_seconds = longest_reading(prompts, calls.digit_gap_ms).as_secs_f32().ceil() as u64;
    let max_ring = MAX_CALL.as_secs().saturating_sub(reading_seconds);
    if calls.ring_timeout_seconds > max_ring {
        bail!(
            "calls.voice_dir: these recordings need {reading_seconds} s for 8 digits, and a call lasts at most {MAX_CALL:?}: set calls.ring_timeout_seconds to {max_ring} or less, or shorten the recordings"
        );
    }
    Ok(Some(prompts))
}

/// Loads a directory once per process.
fn loaded(dir: &str) -> anyhow::Result<&'static PromptSet> {
    static LOADED: Mutex<Option<(String, &PromptSet)>> = Mutex::new(None);
    let mut loaded = LOADED.lock();
    if let Some((known, prompts)) = loaded.as_ref()
        && known == dir
    {
        return Ok(prompts);
    }
    let prompts = recordings::load(Path::new(dir)).context("calls.voice_dir")?;
    *loaded = Some((dir.to_owned(), prompts));
    Ok(prompts)
}
