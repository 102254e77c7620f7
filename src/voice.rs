//! Which voice speaks: the recordings of `calls.voice_dir`, or the one that is built in.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use nexo_voice::speech::prompts::PromptSet;
use nexo_voice::speech::recordings;

use crate::config::Config;
use crate::config::calls::{LONGEST_CALL, longest_reading};

/// The prompts that calls are made of. Recordings stay in memory until the process ends.
///
/// # Errors
/// When the recordings cannot be read, or are so long that a call that is answered late could not hold a code.
pub fn prompts(config: &Config) -> anyhow::Result<&'static PromptSet> {
    Ok(recorded(config)?.unwrap_or_else(PromptSet::built_in))
}

/// The recordings, where there are some.
///
/// # Errors
/// As [`prompts`].
pub fn recorded(config: &Config) -> anyhow::Result<Option<&'static PromptSet>> {
    let calls = &config.calls;
    if calls.voice_dir.is_empty() {
        return Ok(None);
    }
    let prompts = loaded(&calls.voice_dir)?;
    let reading_seconds = longest_reading(prompts, calls.digit_gap_ms)
        .as_secs_f32()
        .ceil() as u64;
    let most = LONGEST_CALL.as_secs().saturating_sub(reading_seconds);
    if calls.ring_timeout_seconds > most {
        bail!(
            "calls.voice_dir: with these recordings 8 digits take {reading_seconds} s, and a call lasts {LONGEST_CALL:?} at most: set calls.ring_timeout_seconds to {most} or less, or record shorter"
        );
    }
    Ok(Some(prompts))
}

/// What a process has read of a directory it keeps, so it reads it once.
fn loaded(dir: &str) -> anyhow::Result<&'static PromptSet> {
    static LOADED: Mutex<Option<(String, &PromptSet)>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, prompts)) = loaded.as_ref()
        && known == dir
    {
        return Ok(prompts);
    }
    let prompts = recordings::load(Path::new(dir)).context("calls.voice_dir")?;
    *loaded = Some((dir.to_owned(), prompts));
    Ok(prompts)
}
