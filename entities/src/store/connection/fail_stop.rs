//! Stops an SQLite store after its disk failed.
//!
//! | SQLite error | state of the transaction | consequence |
//! |---|---|---|
//! | I/O error, malformed file | unknown: after a failed fsync the kernel may have dropped pages that no later fsync writes, and the WAL may still restore the transaction at the next start | this process never writes again |
//! | disk full | rolled back | the write is refused; a later one may succeed |
//!
//! A restart reads what is on disk and settles deliveries in doubt as after a crash. PostgreSQL
//! needs none of this: its server stops and recovers by itself, and the client sees only a lost
//! connection.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::{DatabaseConnection, DatabaseTransaction};

use crate::store::{Store, StoreError};

/// How long a COMMIT may take. After that its outcome is unknown.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Shared by all clones of a store.
#[derive(Debug, Default)]
pub(crate) struct FailStop {
    /// Set once: why nothing is written any more.
    reason: OnceLock<String>,
    /// Set when a COMMIT failed. SQLite rolled the transaction back, but sqlx still counts it and
    /// would nest the next one, so the connection must be discarded.
    is_suspect: AtomicBool,
}

impl FailStop {
    /// Returns whether the connection may be reused, and resets the flag.
    pub fn is_sound(&self) -> bool {
        !self.is_suspect.swap(false, Ordering::AcqRel)
    }
}

impl Store {
    /// Returns why this store no longer writes, if it was stopped.
    pub fn stopped(&self) -> Option<&str> {
        self.fail_stop.reason.get().map(String::as_str)
    }

    /// Returns the connection for a write that is a transaction by itself.
    pub(crate) fn writing(&self) -> Result<&DatabaseConnection, StoreError> {
        self.may_write()?;
        Ok(&self.writer)
    }

    pub(crate) fn may_write(&self) -> Result<(), StoreError> {
        match self.stopped() {
            None => Ok(()),
            Some(_) => Err(StoreError::Stopped),
        }
    }

    /// Commits; stops the store if the disk failed.
    pub(crate) async fn end(
        &self,
        transaction: DatabaseTransaction,
    ) -> Result<(), StoreError> {
        // Another transaction may have failed since this one began.
        self.may_write()?;
        let committed = match tokio::time::timeout(COMMIT_TIMEOUT, transaction.commit()).await {
            Ok(committed) => committed.map_err(StoreError::from_commit),
            Err(_) => Err(StoreError::InDoubt { source: None }),
        };
        if committed.is_err() && self.is_sqlite() {
            self.fail_stop.is_suspect.store(true, Ordering::Release);
        }
        self.noted(committed)
    }

    /// Passes on the outcome of a write; stops the store if the disk failed.
    pub(crate) fn noted<T, E: Into<StoreError>>(
        &self,
        outcome: Result<T, E>,
    ) -> Result<T, StoreError> {
        outcome.map_err(|error| {
            let error = error.into();
            if error.is_disk_failure() && self.fail_stop.reason.set(error.to_string()).is_ok() {
                tracing::error!(
                    %error,
                    "the disk under the database failed: nothing is written until this process restarts"
                );
            }
            error
        })
    }
}
