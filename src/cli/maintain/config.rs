//! `nexo config`.

use clap::Subcommand;
use serde_json::json;

use crate::cli::output::Answer;
use crate::config::Loaded;
use crate::voice;

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every setting and where it comes from, secrets masked
    Print,
    /// Say whether the configuration is right
    Check,
}

/// Runs it. What is wrong with a configuration was found when it was loaded, but for the recordings it names.
///
/// # Errors
/// On `check`, when those cannot be used.
pub fn run(loaded: &Loaded, command: &Command) -> anyhow::Result<Answer> {
    Ok(match command {
        Command::Print => Answer::new(loaded.effective.to_toml(), loaded.effective.to_json()),
        Command::Check => {
            voice::prompts(&loaded.config)?;
            Answer::new("ok", json!({ "ok": true }))
        }
    })
}
