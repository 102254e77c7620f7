//! Every query. A method is named for what it answers or does; reads take a read connection, and
//! each write is one transaction.

use std::sync::Arc;

use sea_orm::{
    DatabaseBackend, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait, Value,
};

pub mod accounts;
pub mod billing;
pub mod cluster;
pub mod connection;
pub mod deliveries;
pub mod error;
pub mod ledger;
pub mod operations;
pub mod phone_windows;
pub(crate) mod sql;
pub mod webhooks;

mod connect;

use connection::fail_stop::FailStop;
pub use error::{Conflict, StoreError};
use phone_windows::cache::WindowBook;

/// The database, ready for queries. Clones share the same connections.
#[derive(Clone, Debug)]
pub struct Store {
    /// SQLite: one connection, since it takes one writer at a time. PostgreSQL: the writers' lanes.
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    /// On SQLite. PostgreSQL keeps the windows in a table, for all its nodes.
    book: Option<Arc<WindowBook>>,
    fail_stop: Arc<FailStop>,
}

impl Store {
    /// The connection for what is no query of this crate: the migrations.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Whether this is SQLite; otherwise it is PostgreSQL.
    pub fn is_sqlite(&self) -> bool {
        self.backend() == DatabaseBackend::Sqlite
    }

    /// Waits for what is under way and closes the connections.
    ///
    /// # Errors
    /// [`StoreError::Database`] when a connection cannot be closed in order.
    pub async fn close(self) -> Result<(), StoreError> {
        self.reader.close().await?;
        self.writer.close().await?;
        Ok(())
    }

    fn backend(&self) -> DatabaseBackend {
        self.writer.get_database_backend()
    }

    /// A transaction that may write. SQLite takes its lock at once (`BEGIN IMMEDIATE`): a lock
    /// taken later could not be waited for, since commands write to the same file.
    async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        self.may_write()?;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        self.noted(self.writer.begin_with_options(options).await)
    }

    /// A statement whose parameters are written `?`.
    fn sql(&self, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        let text = sql::bulk::numbered(text, self.backend());
        Statement::from_sql_and_values(self.backend(), text, values)
    }
}
