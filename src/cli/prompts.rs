//! `nexo prompts`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use nexo_domain::otp::{Code, Language, Reading};
use nexo_voice::prompts::PromptSet;
use nexo_voice::wav;
use serde_json::json;

use super::answer::Answer;
use super::args;
use crate::config::Config;

const SAMPLES_PER_SECOND: usize = 8_000;

/// What can be done with prompts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write what a call says as WAV, 8 kHz mono, 16 bit
    Render {
        /// The code, 4 to 8 digits
        #[arg(value_parser = code)]
        code: Code,
        /// vi or en [default: calls.language]
        #[arg(long, value_parser = args::language())]
        language: Option<Language>,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

fn code(text: &str) -> Result<Code, String> {
    Code::parse(text).map_err(|error| error.to_string())
}

/// Runs it, with the configured repetitions and gaps.
///
/// # Errors
/// When the file cannot be written.
pub fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let Command::Render {
        code,
        language,
        out,
    } = command;
    let reading = Reading {
        language: language.unwrap_or(config.calls.language),
        repeat: config.calls.repeat,
        digit_gap_ms: config.calls.digit_gap_ms,
    };
    let samples = PromptSet::built_in().render(&code, reading);
    wav::write(&out, &samples).with_context(|| format!("cannot write {}", out.display()))?;
    let tenths = samples.len() * 10 / SAMPLES_PER_SECOND;
    let (out, seconds) = (out.display().to_string(), tenths as f64 / 10.0);
    let text = format!("Wrote {out}, {seconds:.1} s.");
    Ok(Answer::new(
        text,
        json!({ "file": out, "seconds": seconds }),
    ))
}
