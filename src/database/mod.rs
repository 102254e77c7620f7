//! Opens the configured database. Errors say in one line what to do.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use nexo_entities::store::cluster::secret::stored_check;
use nexo_entities::store::connection::preflight::open_unchanged;
use nexo_entities::store::{Store, StoreError, sqlite_path};

use crate::config::database::DatabaseConfig;

pub mod installation;

/// The migration that creates the table of the secret's check value.
const SECRETS_MIGRATION: &str = "m0014_verifications";
const ANOTHER: &str = "or set database.url to another database";

/// Opens the database; creates a missing SQLite file and its directory.
///
/// `lanes` is the number of concurrent writing transactions on PostgreSQL.
///
/// # Errors
/// In one line, with the remedy.
pub async fn connect(config: &DatabaseConfig, lanes: u32) -> anyhow::Result<Store> {
    Store::connect_with(&config.url, lanes, config.list_connections).await.map_err(explain)
}

/// Looks at the database without changing it, and reads its schema's version if it exists.
///
/// # Errors
/// What would keep a gateway from serving it, in one line.
pub async fn check(config: &DatabaseConfig) -> anyhow::Result<Checked> {
    let Some(connection) = open_unchanged(&config.url).await.map_err(explain)? else {
        return Ok(Checked { secret_check: None });
    };
    let status = nexo_migration::status(&connection).await;
    let has_secrets = status.as_ref().is_ok_and(|migrations| {
        migrations.iter().any(|one| one.applied && one.name == SECRETS_MIGRATION)
    });
    let secret_check = match has_secrets {
        true => stored_check(&connection).await,
        false => Ok(None),
    };
    connection.close().await?;
    status.context("cannot read the migrations of the database")?;
    let secret_check = secret_check.context("cannot read the check value of the secret")?;
    Ok(Checked { secret_check })
}

/// What [`check`] found in the database.
pub struct Checked {
    /// The check value of the secret that its nodes use, if one has started.
    pub secret_check: Option<Vec<u8>>,
}

/// The lock of the process that serves an SQLite file. The system releases it when the process ends.
///
/// The lock is on the file itself (`flock`), not on a name, so that a symbolic or hard link to the file leads to the
/// same lock. SQLite's own locks are of another kind (`fcntl`): commands can write meanwhile. This must be dropped
/// after the store is closed, because closing any descriptor of the file releases all of the process's `fcntl` locks
/// on it.
pub struct Serving(#[expect(dead_code, reason = "held, never read")] Option<File>);

/// Opens the database and locks it for this process, if it is an SQLite file. Phone windows and wallets are cached in
/// memory, and a second server would settle the calls of the first. A file that another process serves is not touched.
///
/// # Errors
/// Those of [`connect`], or if another process serves the file.
pub async fn connect_to_serve(
    config: &DatabaseConfig,
    lanes: u32,
) -> anyhow::Result<(Store, Serving)> {
    let Some(path) = sqlite_path(&config.url) else {
        return Ok((connect(config, lanes).await?, Serving(None)));
    };
    // If the file cannot be opened, the store's error says why.
    let early = match File::open(&path) {
        Ok(file) => Some(lock(file, &path)?),
        Err(_) => None,
    };
    let store = connect(config, lanes).await?;
    let lock = match early {
        Some(lock) if is_at(&lock, &path) => lock,
        // The file was created or replaced meanwhile.
        _ => {
            let file = File::open(&path);
            let file = file.with_context(|| format!("cannot open {}", path.display()))?;
            lock(file, &path)?
        }
    };
    Ok((store, Serving(Some(lock))))
}

/// Locks an SQLite file that exists, as the process that serves it does, for a command that must not run meanwhile.
///
/// # Errors
/// If another process serves the file.
pub fn serve_lock(config: &DatabaseConfig) -> anyhow::Result<Serving> {
    let Some(path) = sqlite_path(&config.url) else {
        return Ok(Serving(None));
    };
    let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(Serving(Some(lock(file, &path)?)))
}

/// Locks the file for this process.
fn lock(file: File, path: &Path) -> anyhow::Result<File> {
    let shown = path.display();
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another nexo serves {shown}: stop it first, {ANOTHER}; several nodes can share one PostgreSQL"
        ),
        Err(TryLockError::Error(error)) => Err(error)
            .with_context(|| format!("cannot lock {shown}: put it on a local file system")),
    }
}

/// Whether `path` leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), path.metadata()) else {
        return false;
    };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

/// The store's error with a remedy. Drivers repeat themselves along the chain of causes, so only the root cause is
/// shown.
fn explain(error: StoreError) -> anyhow::Error {
    match &error {
        StoreError::CannotCreateDirectory { source, .. } => anyhow!(
            "{error}: {source}; make the directory above it writable for this user, {ANOTHER}"
        ),
        StoreError::NoAccess { source, .. } => anyhow!("{error}: {source}"),
        StoreError::CannotOpen { source, .. } => {
            anyhow!("{error}: {}; fix that, {ANOTHER}", root_cause(source))
        }
        StoreError::NotADatabase { .. } => anyhow!("{error}: move it away, {ANOTHER}"),
        StoreError::Unreachable { source: Some(source), .. } => {
            anyhow!("{error}: {}; start it, {ANOTHER}", root_cause(source))
        }
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
