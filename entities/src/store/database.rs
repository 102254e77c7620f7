//! The database handle: its connections, and how transactions begin and commit.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    DatabaseBackend, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait, Value,
};

use super::connection::fail_stop::FailStop;
use super::error::StoreError;
use super::phone_windows::cache::PhoneWindowCache;
use super::sql::bulk::number_parameters;

/// How long a COMMIT may take. After that its outcome is unknown.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The database. Clones share the same connections.
///
/// Every method fails with [`StoreError::Database`] if the database does; the methods document further
/// errors only.
#[derive(Clone, Debug)]
pub struct Store {
    /// SQLite: one connection, since it has one writer. PostgreSQL: one connection per lane.
    pub(super) writer: DatabaseConnection,
    /// Read connections for what keeps the gateway running: sign-in, API keys, idempotency, phone
    /// windows, the change feed, nodes, recovery, the outbox and readiness. Nothing that an account can
    /// repeat at will and that reads more than a few rows may use them.
    pub(super) core_reader: DatabaseConnection,
    /// Read connections for background jobs and audits, whose queries may take long.
    pub(super) job_reader: DatabaseConnection,
    /// Read connections for everything else: lists, exports and pages. A query that takes too long is
    /// interrupted.
    pub(super) reader: DatabaseConnection,
    /// The phone windows of an SQLite file. PostgreSQL keeps them in a table shared by all nodes.
    pub(super) windows: Option<Arc<PhoneWindowCache>>,
    pub(super) fail_stop: Arc<FailStop>,
}

impl Store {
    /// Returns the write connection, for migrations.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Returns whether this is SQLite; otherwise it is PostgreSQL.
    pub fn is_sqlite(&self) -> bool {
        self.backend() == DatabaseBackend::Sqlite
    }

    /// Waits for running queries and closes the connections.
    pub async fn close(self) -> Result<(), StoreError> {
        self.reader.close().await?;
        self.job_reader.close().await?;
        self.core_reader.close().await?;
        self.writer.close().await?;
        Ok(())
    }

    /// Returns why this store no longer writes, if it was stopped.
    pub fn stop_reason(&self) -> Option<&str> {
        self.fail_stop.reason()
    }

    pub(super) fn backend(&self) -> DatabaseBackend {
        self.writer.get_database_backend()
    }

    /// Returns a statement whose parameters are written `?` in `text`.
    pub(super) fn sql(&self, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        let text = number_parameters(text, self.backend());
        Statement::from_sql_and_values(self.backend(), text, values)
    }

    /// Begins a write transaction. SQLite takes its lock at once (`BEGIN IMMEDIATE`): waiting for a
    /// lock taken later is impossible, and other processes write to the same file.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        self.fail_stop.ensure_running()?;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        self.check_write(self.writer.begin_with_options(options).await)
    }

    /// Commits; stops the store if the disk failed.
    pub(super) async fn commit(&self, transaction: DatabaseTransaction) -> Result<(), StoreError> {
        // Another transaction may have failed since this one began.
        self.fail_stop.ensure_running()?;
        let committed = match tokio::time::timeout(COMMIT_TIMEOUT, transaction.commit()).await {
            Ok(committed) => committed.map_err(StoreError::from_commit),
            Err(_) => Err(StoreError::InDoubt { source: None }),
        };
        if committed.is_err() && self.is_sqlite() {
            self.fail_stop.suspect_connection();
        }
        self.check_write(committed)
    }

    /// Returns the connection for a write that is a transaction by itself.
    pub(super) fn write_connection(&self) -> Result<&DatabaseConnection, StoreError> {
        self.fail_stop.ensure_running()?;
        Ok(&self.writer)
    }

    /// Passes on the outcome of a write; stops the store if the disk failed.
    pub(super) fn check_write<T, E: Into<StoreError>>(
        &self,
        outcome: Result<T, E>,
    ) -> Result<T, StoreError> {
        outcome.map_err(|error| {
            let error = error.into();
            self.fail_stop.observe(&error);
            error
        })
    }
}
