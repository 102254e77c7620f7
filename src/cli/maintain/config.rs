//! `nexo config`: prints and checks the configuration.

use clap::Subcommand;
use serde_json::json;

use crate::app::preflight;
use crate::cli::output::CommandOutput;
use crate::config::Loaded;
use crate::process::readable_secrets;

/// The subcommands of `nexo config`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every setting and its source, with secrets masked
    Print,
    /// Check that `serve` can start with the configuration, without changing anything, and warn of unsafe settings
    ///
    /// Binds the addresses for a moment, reads the files, the recordings and the schema of the database, and resolves the
    /// gateways. Ports in use are no error: the running gateway may use them.
    Check,
}

/// Runs the command. Loading has validated the values.
///
/// # Errors
/// For `check`, what would keep a gateway from starting.
pub async fn run(loaded: &Loaded, command: &Command) -> anyhow::Result<CommandOutput> {
    Ok(match command {
        Command::Print => {
            CommandOutput::new(loaded.effective.to_toml(), loaded.effective.to_json())
        }
        Command::Check => {
            preflight::check(&loaded.config).await?;
            for warning in readable_secrets(loaded).into_iter().chain(loaded.config.warnings()) {
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
