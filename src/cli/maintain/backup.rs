//! `nexo backup`: a copy of the SQLite database, while it is served.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::json;

use crate::cli::database;
use crate::cli::output::Answer;
use crate::config::Config;

/// Copies the database into `file`.
///
/// # Errors
/// In one line, with the mend: the database is PostgreSQL, there is something at `file`, or it cannot be
/// written.
pub async fn run(config: &Config, file: &Path) -> anyhow::Result<Answer> {
    if config.database.sqlite_file().is_none() {
        bail!(
            "nexo backup copies SQLite only: use pg_dump, or pg_basebackup with WAL archiving, for {}",
            config.database.masked_url()
        );
    }
    let store = database::present(config).await?;
    let started = Instant::now();
    let bytes = store
        .back_up(file)
        .await
        .with_context(|| format!("no backup was made in {}", file.display()))?;
    store.close().await?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Answer::new(
        format!(
            "{} bytes in {} within {seconds:.1} s",
            bytes,
            file.display()
        ),
        json!({ "file": file.display().to_string(), "bytes": bytes, "seconds": seconds }),
    ))
}
