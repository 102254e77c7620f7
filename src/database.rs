//! Opening the configured database, and saying in one line what mends it when that fails.

use std::fs::{File, TryLockError};

use anyhow::{Context, anyhow, bail};
use nexo_entities::store::{Store, StoreError};

use crate::config::database::DatabaseConfig;

const ANOTHER: &str = "or set database.url to another place";

/// Opens the database, creating an SQLite file and its directory where there is none.
///
/// `lanes` is how many transactions write at once on PostgreSQL.
///
/// # Errors
/// In one line, with the mend.
pub async fn connect(config: &DatabaseConfig, lanes: u32) -> anyhow::Result<Store> {
    Store::connect(&config.url, lanes).await.map_err(explain)
}

/// Held by the one process that serves an SQLite file. The system lets go of it with the process.
pub struct Serving(#[expect(dead_code, reason = "held, never read")] Option<File>);

/// Makes this process the only one that serves the configured database, if that is an SQLite file:
/// phone windows and wallets are remembered in memory, and a second server would settle the calls of
/// the first. Commands may write beside it.
///
/// # Errors
/// When another process serves it.
pub fn serve_alone(config: &DatabaseConfig) -> anyhow::Result<Serving> {
    let Some(database) = config.sqlite_file() else {
        return Ok(Serving(None));
    };
    let path = format!("{database}.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {path}"))?;
    match file.try_lock() {
        Ok(()) => Ok(Serving(Some(file))),
        Err(TryLockError::WouldBlock) => bail!(
            "another nexo serves {database}: stop it first, {ANOTHER}; several nodes share one PostgreSQL"
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {path}: put it on a local file system"))
        }
    }
}

/// The store's own words, and the mend where they name none. What the driver adds says the same
/// several times over, so only its last word is kept.
fn explain(error: StoreError) -> anyhow::Error {
    match &error {
        StoreError::CannotCreateDirectory { source, .. } => anyhow!(
            "{error}: {source}; make the directory above it writable for this user, {ANOTHER}"
        ),
        StoreError::CannotOpen { source, .. } => {
            anyhow!("{error}: {}; mend that, {ANOTHER}", last_word(source))
        }
        StoreError::NotADatabase { .. } => anyhow!("{error}: move it away, {ANOTHER}"),
        StoreError::Unreachable {
            source: Some(source),
            ..
        } => anyhow!("{error}: {}; start it, {ANOTHER}", last_word(source)),
        StoreError::Unreachable { source: None, .. } => anyhow!("{error}; start it, {ANOTHER}"),
        _ => anyhow!("{error}"),
    }
}

fn last_word(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
