//! `nexo backup`: copies the SQLite database while the gateway runs.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::json;

use crate::cli::database;
use crate::cli::output::CommandOutput;
use crate::config::Config;

/// Copies the database to `file`.
///
/// # Errors
/// If the database is PostgreSQL, or `file` exists or cannot be written. One line that names the remedy.
pub async fn run(config: &Config, file: &Path) -> anyhow::Result<CommandOutput> {
    if config.database.sqlite_file().is_none() {
        bail!(
            "nexo backup supports SQLite only; use pg_dump, or pg_basebackup with WAL archiving, for {}",
            config.database.masked_url()
        );
    }
    let store = database::open_any_schema(config).await?;
    let started = Instant::now();
    let bytes = store
        .back_up(file)
        .await
        .with_context(|| format!("cannot back up to {}", file.display()))?;
    store.close().await?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(CommandOutput::new(
        format!("Wrote {} bytes to {} in {seconds:.1} s.", bytes, file.display()),
        json!({ "file": file.display().to_string(), "bytes": bytes, "seconds": seconds }),
    ))
}
