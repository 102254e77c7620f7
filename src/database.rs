//! Opens the configured database. Errors say in one line what to do.

use std::fs::{File, TryLockError};

use anyhow::{Context, anyhow, bail};
use nexo_entities::store::{Store, StoreError};

use crate::config::database::DatabaseConfig;

const ANOTHER: &str = "or set database.url to another database";

/// Opens the database; creates a missing SQLite file and its directory.
///
/// `lanes` is the number of concurrent writing transactions on PostgreSQL.
///
/// # Errors
/// In one line, with the remedy.
pub async fn connect(config: &DatabaseConfig, lanes: u32) -> anyhow::Result<Store> {
    Store::connect_with(&config.url, lanes, config.list_connections)
        .await
        .map_err(explain)
}

/// The lock of the process that serves an SQLite file. The system releases it when the process ends.
pub struct Serving(#[expect(dead_code, reason = "held, never read")] Option<File>);

/// Locks the configured database for this process, if it is an SQLite file. Phone windows and wallets are cached in
/// memory, and a second server would settle the calls of the first. Commands may still write to the file.
///
/// # Errors
/// If another process serves it.
pub fn serve_alone(config: &DatabaseConfig) -> anyhow::Result<Serving> {
    let Some(database) = config.sqlite_file() else {
        return Ok(Serving(None));
    };
    let path = format!("{database}.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {path}"))?;
    match file.try_lock() {
        Ok(()) => Ok(Serving(Some(file))),
        Err(TryLockError::WouldBlock) => bail!(
            "another nexo serves {database}: stop it first, {ANOTHER}; several nodes can share one PostgreSQL"
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {path}: put it on a local file system"))
        }
    }
}

/// The store's error with a remedy. Drivers repeat themselves along the chain of causes, so only the root cause is
/// shown.
fn explain(error: StoreError) -> anyhow::Error {
    match &error {
        StoreError::CannotCreateDirectory { source, .. } => anyhow!(
            "{error}: {source}; make the directory above it writable for this user, {ANOTHER}"
        ),
        StoreError::CannotOpen { source, .. } => {
            anyhow!("{error}: {}; fix that, {ANOTHER}", root_cause(source))
        }
        StoreError::NotADatabase { .. } => anyhow!("{error}: move it away, {ANOTHER}"),
        StoreError::Unreachable {
            source: Some(source),
            ..
        } => anyhow!("{error}: {}; start it, {ANOTHER}", root_cause(source)),
        StoreError::Unreachable { source: None, .. } => anyhow!("{error}; start it, {ANOTHER}"),
        _ => anyhow!("{error}"),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
