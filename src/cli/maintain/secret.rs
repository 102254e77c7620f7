//! `nexo secret`: changes the secret of the installation on purpose.

use anyhow::bail;
use clap::Subcommand;
use nexo_entities::store::cluster::secret::SecretReset;
use serde_json::json;

use crate::cli::database;
use crate::cli::output::CommandOutput;
use crate::config::Config;
use crate::database::serve_lock;

/// The subcommands of `nexo secret`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let the next start use another secret; refused while a node runs
    ///
    /// Codes of pending verifications become invalid, and so does what was encrypted under the old secret.
    Reset,
}

/// Runs the command.
///
/// # Errors
/// If a node runs.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let Command::Reset = command;
    let store = database::open(config).await?;
    // The nodes of a PostgreSQL database have leases. The process that serves an SQLite file holds its lock.
    let _serving = serve_lock(&config.database)?;
    let text = match store.cluster().reset_secret().await? {
        SecretReset::Running(nodes) => bail!(
            "the nodes {} run with the secret: stop them first (a killed one counts for 10 seconds)",
            nodes.join(", ")
        ),
        SecretReset::Done => "The next start uses the secret that it finds.",
        SecretReset::NothingStored => "No secret is in use: nothing to reset.",
    };
    store.close().await?;
    Ok(CommandOutput::new(text, json!({ "ok": true })))
}
