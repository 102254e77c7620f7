//! Every query. A method is named for what it answers or does; reads take a read connection, and
//! each write is one transaction.

use std::sync::Arc;

use sea_orm::{
    DatabaseBackend, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait, Value,
};

pub mod accounts;
pub mod audit;
pub mod backup;
pub mod bank_payments;
pub mod changes;
pub mod closing;
pub mod deliveries;
pub mod delivery_filters;
pub mod delivery_pages;
pub mod deposits;
pub mod error;
pub mod figures;
pub mod gateways;
pub mod holdings;
pub mod kept_answers;
pub mod key_changes;
pub mod keys;
pub mod ledger;
pub mod low_balance;
pub mod node_session;
pub mod nodes;
pub mod operators;
pub mod passwords;
pub mod payouts;
pub mod ports;
pub mod posting;
pub mod privacy;
pub mod recovery;
pub mod referrals;
pub mod reviews;
pub mod sessions;
pub mod sign_up;
pub mod wallets;
pub mod webhook_attempts;
pub mod webhook_history;
pub mod webhooks;
pub mod windows;

mod bloom;
mod bulk;
mod connect;
mod fail_stop;
mod id_time;
mod record;
mod schema;
mod window_book;

pub use error::{Conflict, StoreError};
use fail_stop::FailStop;
use window_book::WindowBook;

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
        let text = bulk::numbered(text, self.backend());
        Statement::from_sql_and_values(self.backend(), text, values)
    }
}
