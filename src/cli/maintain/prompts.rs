//! `nexo prompts`: renders the voice of a call as WAV, and imports studio recordings.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use nexo_domain::otp::{Code, Language, Reading};
use nexo_voice::audio::wav;
use nexo_voice::speech::recordings;
use serde_json::json;

use crate::cli::args;
use crate::cli::output::CommandOutput;
use crate::config::Config;
use crate::voice;

const SAMPLE_RATE: usize = 8_000;

/// The subcommands of `nexo prompts`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write what a call says to a WAV file, 8 kHz, mono, 16 bit
    Render {
        /// The code, 4 to 8 digits
        #[arg(value_parser = args::code)]
        code: Code,
        /// Language, vi or en [default: calls.language]
        #[arg(long, value_parser = args::language())]
        language: Option<Language>,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Import studio recordings that replace the built-in voice of a language
    ///
    /// They are stored in calls.voice_dir and used from the next start.
    #[command(after_help = IMPORT_HELP)]
    Import {
        /// Directory that contains vi/, en/ or both
        #[arg(value_name = "DIR")]
        from: PathBuf,
    },
}

const IMPORT_HELP: &str = "\
Each of vi/ and en/ contains greeting.wav, again.wav, goodbye.wav, press-key.wav and 0.wav to 9.wav.
For a slower second reading, add slow-0.wav to slow-9.wav. WAV files of 8000 to 192000 samples a second,
mono or stereo; digits of 0.1 to 1.5 s, phrases of 0.2 to 10 s. The recordings are trimmed, levelled and
converted to telephone quality.";

/// Runs the command.
///
/// # Errors
/// If a file cannot be written, or the recordings cannot be used.
pub fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    match command {
        Command::Render { code, language, out } => render(config, &code, language, &out),
        Command::Import { from } => import(config, &from),
    }
}

fn import(config: &Config, from: &Path) -> anyhow::Result<CommandOutput> {
    let dir = &config.calls.voice_dir;
    if dir.is_empty() {
        bail!("calls.voice_dir is not set; set it to the directory for the recordings");
    }
    let imported = recordings::import(from, Path::new(dir))?;
    let (mut text, mut list) = (String::new(), Vec::new());
    for language in imported {
        let (language, files) = (language.language.code(), language.files);
        text.push_str(&format!("{language}: {files} recordings\n"));
        list.push(json!({ "language": language, "files": files }));
    }
    text.push_str(&format!("Stored in {dir}; used from the next start."));
    let json = json!({ "voice_dir": dir, "imported": list });
    Ok(CommandOutput::new(text, json))
}

/// Renders a call with the configured repetitions and gaps.
fn render(
    config: &Config,
    code: &Code,
    language: Option<Language>,
    out: &Path,
) -> anyhow::Result<CommandOutput> {
    let reading = Reading {
        language: language.unwrap_or(config.calls.language),
        repeat: config.calls.repeat,
        digit_gap_ms: config.calls.digit_gap_ms,
    };
    let samples = voice::prompts(config)?.render(code, reading);
    wav::write(out, &samples).with_context(|| format!("cannot write {}", out.display()))?;
    let tenths = samples.len() * 10 / SAMPLE_RATE;
    let (out, seconds) = (out.display().to_string(), tenths as f64 / 10.0);
    let text = format!("Wrote {out}, {seconds:.1} s.");
    Ok(CommandOutput::new(text, json!({ "file": out, "seconds": seconds })))
}
