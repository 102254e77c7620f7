//! `nexo prompts`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use nexo_domain::otp::{Code, Language, Reading};
use nexo_voice::audio::wav;
use nexo_voice::speech::recordings;
use serde_json::json;

use crate::cli::args;
use crate::cli::output::Answer;
use crate::config::Config;
use crate::voice;

const SAMPLES_PER_SECOND: usize = 8_000;

/// What can be done with prompts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write what a call says as WAV, 8 kHz mono, 16 bit
    Render {
        /// The code, 4 to 8 digits
        #[arg(value_parser = args::code)]
        code: Code,
        /// vi or en [default: calls.language]
        #[arg(long, value_parser = args::language())]
        language: Option<Language>,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Put studio recordings in the place of the voice, all of a language's at once; calls.voice_dir says
    /// where they are kept, and the next start speaks with them
    #[command(after_help = IMPORT_HELP)]
    Import {
        /// Holds vi/ or en/ or both
        #[arg(value_name = "DIR")]
        from: PathBuf,
    },
}

const IMPORT_HELP: &str = "\
Each of vi/ and en/ holds greeting.wav, again.wav, goodbye.wav, press-key.wav and 0.wav to 9.wav, and,
if the second reading is to be slower, slow-0.wav to slow-9.wav. WAV of 8000 to 192000 samples a second,
mono or stereo; digits of 0.1 to 1.5 s, phrases of 0.2 to 10 s. They are trimmed, levelled and brought
to telephone quality.";

/// Runs it.
///
/// # Errors
/// When a file cannot be written, or the recordings cannot be used.
pub fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    match command {
        Command::Render {
            code,
            language,
            out,
        } => render(config, &code, language, &out),
        Command::Import { from } => import(config, &from),
    }
}

fn import(config: &Config, from: &Path) -> anyhow::Result<Answer> {
    let dir = &config.calls.voice_dir;
    if dir.is_empty() {
        bail!("calls.voice_dir is not set: set it to the directory that is to keep the recordings");
    }
    let imported = recordings::import(from, Path::new(dir))?;
    let told = imported.iter().map(|imported| {
        let (language, files) = (imported.language.code(), imported.files);
        json!({ "language": language, "files": files })
    });
    let lines = imported.iter().map(|imported| {
        let (language, files) = (imported.language.code(), imported.files);
        format!("{language}: {files} recordings")
    });
    let lines: Vec<String> = lines.collect();
    let text = format!(
        "{}\nKept in {dir}; the next start speaks with them.",
        lines.join("\n")
    );
    let json = json!({ "voice_dir": dir, "imported": told.collect::<Vec<_>>() });
    Ok(Answer::new(text, json))
}

/// With the configured repetitions and gaps.
fn render(
    config: &Config,
    code: &Code,
    language: Option<Language>,
    out: &Path,
) -> anyhow::Result<Answer> {
    let reading = Reading {
        language: language.unwrap_or(config.calls.language),
        repeat: config.calls.repeat,
        digit_gap_ms: config.calls.digit_gap_ms,
    };
    let samples = voice::prompts(config)?.render(code, reading);
    wav::write(out, &samples).with_context(|| format!("cannot write {}", out.display()))?;
    let tenths = samples.len() * 10 / SAMPLES_PER_SECOND;
    let (out, seconds) = (out.display().to_string(), tenths as f64 / 10.0);
    let text = format!("Wrote {out}, {seconds:.1} s.");
    Ok(Answer::new(
        text,
        json!({ "file": out, "seconds": seconds }),
    ))
}
