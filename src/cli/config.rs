//! `nexo config`.

use clap::Subcommand;
use serde_json::json;

use super::answer::Answer;
use crate::config::Loaded;

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every setting and where it comes from, secrets masked
    Print,
    /// Say whether the configuration is right
    Check,
}

/// Runs it. What is wrong with a configuration was found when it was loaded.
pub fn run(loaded: &Loaded, command: &Command) -> Answer {
    match command {
        Command::Print => Answer::new(loaded.effective.to_toml(), loaded.effective.to_json()),
        Command::Check => Answer::new("ok", json!({ "ok": true })),
    }
}
