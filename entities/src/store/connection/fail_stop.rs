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

use crate::store::error::StoreError;

/// Shared by all clones of a store.
#[derive(Debug, Default)]
pub(crate) struct FailStop {
    /// Set once: why nothing is written any more.
    reason: OnceLock<String>,
    /// Set when a COMMIT failed. SQLite rolled the transaction back, but sqlx still counts it and would
    /// nest the next one, so the connection must be discarded.
    is_suspect: AtomicBool,
    /// Whether the last write for which space mattered found none.
    is_disk_full: AtomicBool,
}

impl FailStop {
    /// Returns why nothing is written any more, if so.
    pub fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Fails with [`StoreError::Stopped`] after the disk failed.
    pub fn ensure_running(&self) -> Result<(), StoreError> {
        match self.reason() {
            None => Ok(()),
            Some(_) => Err(StoreError::Stopped),
        }
    }

    /// Stops all writes if `error` says that the disk failed. Notes it if the disk is full.
    pub fn observe(&self, error: &StoreError) {
        if error.is_disk_full() && !self.is_disk_full.swap(true, Ordering::AcqRel) {
            tracing::error!(
                %error,
                "the disk under the database is full: OTPs are refused until there is space"
            );
        }
        if error.is_disk_failure() && self.reason.set(error.to_string()).is_ok() {
            tracing::error!(
                %error,
                "the disk under the database failed: nothing is written until this process restarts"
            );
        }
    }

    pub fn is_disk_full(&self) -> bool {
        self.is_disk_full.load(Ordering::Acquire)
    }

    /// Records that a probe was written.
    pub fn disk_has_space(&self) {
        if self.is_disk_full.swap(false, Ordering::AcqRel) {
            tracing::info!("the disk under the database has space again");
        }
    }

    /// Has the write connection discarded before its next use.
    pub fn suspect_connection(&self) {
        self.is_suspect.store(true, Ordering::Release);
    }

    /// Returns whether the connection may be reused, and resets the flag.
    pub fn is_sound(&self) -> bool {
        !self.is_suspect.swap(false, Ordering::AcqRel)
    }
}
