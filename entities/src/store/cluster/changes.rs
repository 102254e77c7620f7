//! The change feed: running nodes notice within a second what other processes changed.

use std::time::Duration;

use nexo_domain::ids::{AccountId, IntegrationId, KeyId, WebhookAttemptId};
use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, TransactionTrait,
};
use uuid::Uuid;

use super::node_session::connection_error;
use crate::store::StoreError;
use crate::store::error::code;
use crate::store::views::Cluster;
use crate::tables::cluster::change;

/// A change and its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The account was created, closed or its settings changed.
    Account(AccountId),
    /// The key was created or revoked.
    Key(KeyId),
    /// The integration was created or removed.
    Integration(IntegrationId),
    /// The wallet was credited.
    Wallet(AccountId),
    /// A webhook endpoint of the account was added, paused, resumed or removed, or its events changed.
    Endpoints(AccountId),
    /// A webhook attempt is waiting to be sent.
    WebhookAttempt(WebhookAttemptId),
    /// The ported numbers were replaced by this set.
    Ports(Uuid),
    /// A gateway was drained or put back into service.
    Gateways(Uuid),
}

impl Change {
    fn record(self) -> (&'static str, Uuid) {
        match self {
            Change::Account(id) => ("account", id.0),
            Change::Key(id) => ("key", id.0),
            Change::Integration(id) => ("integration", id.0),
            Change::Wallet(id) => ("wallet", id.0),
            Change::Endpoints(id) => ("endpoints", id.0),
            Change::WebhookAttempt(id) => ("webhook_attempt", id.0),
            Change::Ports(id) => ("ports", id),
            Change::Gateways(id) => ("gateways", id),
        }
    }

    /// Returns `None` for a kind that a newer version of the program wrote.
    fn from_record(kind: &str, subject: Uuid) -> Option<Change> {
        match kind {
            "account" => Some(Change::Account(AccountId(subject))),
            "key" => Some(Change::Key(KeyId(subject))),
            "integration" => Some(Change::Integration(IntegrationId(subject))),
            "wallet" => Some(Change::Wallet(AccountId(subject))),
            "endpoints" => Some(Change::Endpoints(AccountId(subject))),
            "webhook_attempt" => Some(Change::WebhookAttempt(WebhookAttemptId(subject))),
            "ports" => Some(Change::Ports(subject)),
            "gateways" => Some(Change::Gateways(subject)),
            _ => None,
        }
    }
}

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    pub changes: Vec<Change>,
    /// The sequence number to read the next page after.
    pub seq: i64,
    /// Whether the page reached the end of the feed.
    pub is_complete: bool,
}

/// The channel of `NOTIFY`.
const CHANNEL: &str = "nexo_changes";
/// How long opening the listener's connection may take.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
/// SQLSTATE feature_not_supported.
const NOT_SUPPORTED: &str = "0A000";

/// Maximum number of changes per page.
const PAGE: u64 = 1_000;

/// Appends to the feed, as the last write of `transaction`.
///
/// On PostgreSQL this locks the feed: sequence numbers are drawn before COMMIT, and a reader must
/// never see a number while a smaller one is uncommitted.
pub(crate) async fn append_change(
    transaction: &DatabaseTransaction,
    change: Change,
    at_ms: i64,
) -> Result<(), StoreError> {
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        transaction.execute_unprepared("LOCK TABLE changes IN EXCLUSIVE MODE").await?;
    }
    let (kind, subject) = change.record();
    let row = change::ActiveModel {
        seq: NotSet,
        kind: Set(kind.to_owned()),
        subject: Set(subject),
        at_ms: Set(at_ms),
    };
    change::Entity::insert(row).exec(transaction).await?;
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        notify(transaction).await?;
    }
    Ok(())
}

/// Notifies listeners when the transaction commits. A server without `NOTIFY` must not abort the
/// change: followers also poll the feed.
async fn notify(transaction: &DatabaseTransaction) -> Result<(), StoreError> {
    let nested = transaction.begin().await?;
    match nested.execute_unprepared(&format!("NOTIFY {CHANNEL}")).await {
        Ok(_) => nested.commit().await?,
        Err(error) if code(&error).as_deref() == Some(NOT_SUPPORTED) => nested.rollback().await?,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Notifies when the feed was appended to.
pub struct ChangeListener(PgListener);

impl ChangeListener {
    /// Waits for a notification. Also returns after a lost connection was restored, since a
    /// notification may have been missed.
    ///
    /// # Errors
    /// If the connection is lost and cannot be restored; the listener is unusable then.
    pub async fn changed(&mut self) -> Result<(), StoreError> {
        self.0.try_recv().await.map_err(connection_error)?;
        // Buffered notifications are answered by one read of the feed.
        while self.0.next_buffered().is_some() {}
        Ok(())
    }
}

impl Cluster<'_> {
    /// Opens a listener on its own connection. Returns `None` on SQLite, which has no
    /// notifications.
    ///
    /// # Errors
    /// Also fails if the server does not support `LISTEN`.
    pub async fn listen(self) -> Result<Option<ChangeListener>, StoreError> {
        let Some(server) = self.postgres_options() else {
            return Ok(None);
        };
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(LISTEN_TIMEOUT)
            .connect_lazy_with(server.as_ref().clone());
        let mut listener = PgListener::connect_with(&pool).await.map_err(connection_error)?;
        listener.listen(CHANNEL).await.map_err(connection_error)?;
        Ok(Some(ChangeListener(listener)))
    }

    /// Returns the last sequence number of the feed. A node reads it before it fills its caches.
    pub async fn last_change(self) -> Result<i64, StoreError> {
        let last: Option<Option<i64>> = change::Entity::find()
            .select_only()
            .column_as(change::Column::Seq.max(), "seq")
            .into_tuple()
            .one(&self.store.core_reader)
            .await?;
        Ok(last.flatten().unwrap_or(0))
    }

    /// Returns the changes after `seq` in order, at most one page.
    pub async fn changes_since(self, seq: i64) -> Result<Changes, StoreError> {
        let rows = change::Entity::find()
            .filter(change::Column::Seq.gt(seq))
            .order_by_asc(change::Column::Seq)
            .limit(PAGE)
            .all(&self.store.core_reader)
            .await?;
        Ok(Changes {
            is_complete: (rows.len() as u64) < PAGE,
            seq: rows.last().map_or(seq, |row| row.seq),
            changes: rows
                .iter()
                .filter_map(|row| Change::from_record(&row.kind, row.subject))
                .collect(),
        })
    }

    /// Deletes the changes up to `seq`, which every running node has read. Not by their times: the clock of
    /// the node that wrote one may have been wrong.
    pub async fn trim_changes(self, seq: i64) -> Result<u64, StoreError> {
        let trimmed = change::Entity::delete_many()
            .filter(change::Column::Seq.lte(seq))
            .exec(self.store.write_connection()?)
            .await;
        Ok(self.store.check_write(trimmed)?.rows_affected)
    }
}
