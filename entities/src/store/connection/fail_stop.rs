//! What becomes of an SQLite store whose disk fails.
//!
//! | SQLite says | what is known of the transaction | what follows |
//! |---|---|---|
//! | I/O error, malformed file | nothing: after a failed fsync the kernel may have dropped pages that no later fsync writes, and the log on disk may still bring it back at the next start | this process writes nothing more, for good |
//! | disk full | it was undone | it is refused; a later one may succeed |
//!
//! A restart reads what the disk really holds, and settles the deliveries in doubt as it does after a crash.
//! PostgreSQL is another matter: its server stops itself and recovers, and all that is seen of it is a lost
//! connection.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::{DatabaseConnection, DatabaseTransaction};

use crate::store::{Store, StoreError};

/// How long a COMMIT may take; past it nobody knows whether it took effect.
const COMMIT_WITHIN: Duration = Duration::from_secs(5);

/// Shared by all clones of a store.
#[derive(Debug, Default)]
pub(in crate::store) struct FailStop {
    /// Set once; why nothing is written any more.
    reason: OnceLock<String>,
    /// A COMMIT failed. SQLite has undone its transaction, but sqlx still counts it, and would take the next
    /// one for a nested one: the connection is not to be used again.
    is_suspect: AtomicBool,
}

impl FailStop {
    /// Whether the connection that is about to be used may be.
    pub fn is_sound(&self) -> bool {
        !self.is_suspect.swap(false, Ordering::AcqRel)
    }
}

impl Store {
    /// Why this store writes nothing more until the process is started anew, if that is so.
    pub fn stopped(&self) -> Option<&str> {
        self.fail_stop.reason.get().map(String::as_str)
    }

    /// The connection for a write that is a transaction by itself.
    pub(in crate::store) fn writing(&self) -> Result<&DatabaseConnection, StoreError> {
        self.may_write()?;
        Ok(&self.writer)
    }

    pub(in crate::store) fn may_write(&self) -> Result<(), StoreError> {
        match self.stopped() {
            None => Ok(()),
            Some(_) => Err(StoreError::Stopped),
        }
    }

    /// Commits, and stops the store where the disk fails meanwhile.
    pub(in crate::store) async fn end(
        &self,
        transaction: DatabaseTransaction,
    ) -> Result<(), StoreError> {
        // Another transaction's failure may have come while this one was at work.
        self.may_write()?;
        let committed = match tokio::time::timeout(COMMIT_WITHIN, transaction.commit()).await {
            Ok(committed) => committed.map_err(StoreError::of_commit),
            Err(_) => Err(StoreError::InDoubt { source: None }),
        };
        if committed.is_err() && self.is_sqlite() {
            self.fail_stop.is_suspect.store(true, Ordering::Release);
        }
        self.noted(committed)
    }

    /// The outcome of a write. Stops the store where it says that the disk failed.
    pub(in crate::store) fn noted<T, E: Into<StoreError>>(
        &self,
        outcome: Result<T, E>,
    ) -> Result<T, StoreError> {
        outcome.map_err(|error| {
            let error = error.into();
            if error.disk_failed() && self.fail_stop.reason.set(error.to_string()).is_ok() {
                tracing::error!(
                    %error,
                    "the disk failed under the database: nothing more is accepted or written until this process is started anew"
                );
            }
            error
        })
    }
}
