//! `nexo config`: prints and checks the configuration.

use clap::Subcommand;
use serde_json::json;

use crate::cli::output::CommandOutput;
use crate::config::Loaded;
use crate::voice;

/// The subcommands of `nexo config`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every setting and its source, with secrets masked
    Print,
    /// Check the configuration and the recordings it names, and warn of unsafe settings
    Check,
}

/// Runs the command. Loading has validated everything except the recordings.
///
/// # Errors
/// For `check`, if the recordings cannot be used.
pub fn run(loaded: &Loaded, command: &Command) -> anyhow::Result<CommandOutput> {
    Ok(match command {
        Command::Print => {
            CommandOutput::new(loaded.effective.to_toml(), loaded.effective.to_json())
        }
        Command::Check => {
            voice::prompts(&loaded.config)?;
            for warning in loaded.config.warnings() {
                eprintln!("warning: {warning}");
            }
            let without_route = loaded.config.carriers_without_route();
            let json = match without_route.is_empty() {
                true => json!({ "ok": true }),
                false => json!({ "ok": true, "carriers_without_route": without_route }),
            };
            CommandOutput::new("ok", json)
        }
    })
}
