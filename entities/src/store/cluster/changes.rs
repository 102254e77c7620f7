//! The feed of changes: how a running node notices within a second what a command changed.

use std::time::Duration;

use nexo_domain::ids::{AccountId, KeyId, WebhookAttemptId};
use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, TransactionTrait,
};
use uuid::Uuid;

use super::node_session::failed;
use crate::store::error::code;
use crate::store::{Store, StoreError};
use crate::tables::cluster::change;

/// What was changed, by whom it concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The account was created, closed or given other settings.
    Account(AccountId),
    /// The key was created or revoked.
    Key(KeyId),
    /// The wallet was credited.
    Wallet(AccountId),
    /// A webhook endpoint of the account was added, paused, resumed or removed.
    Endpoints(AccountId),
    /// A webhook attempt waits to be sent.
    WebhookAttempt(WebhookAttemptId),
    /// The ported numbers were replaced, by this set.
    Ports(Uuid),
    /// A gateway was taken out of service, or back into it.
    Gateways(Uuid),
}

impl Change {
    fn record(self) -> (&'static str, Uuid) {
        match self {
            Change::Account(id) => ("account", id.0),
            Change::Key(id) => ("key", id.0),
            Change::Wallet(id) => ("wallet", id.0),
            Change::Endpoints(id) => ("endpoints", id.0),
            Change::WebhookAttempt(id) => ("webhook_attempt", id.0),
            Change::Ports(id) => ("ports", id),
            Change::Gateways(id) => ("gateways", id),
        }
    }

    /// `None` for a kind that a newer version of the program wrote.
    fn from_record(kind: &str, subject: Uuid) -> Option<Change> {
        match kind {
            "account" => Some(Change::Account(AccountId(subject))),
            "key" => Some(Change::Key(KeyId(subject))),
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
    /// Where the next page starts.
    pub seq: i64,
    /// Whether there was no more when it was read.
    pub is_whole: bool,
}

/// The channel of `NOTIFY`.
const BELL: &str = "nexo_changes";
/// How long the bell's connection may take.
const BELL_WITHIN: Duration = Duration::from_secs(5);
/// SQLSTATE of a feature that the server does not have.
const NOT_SUPPORTED: &str = "0A000";

/// The most changes that one page holds.
const PAGE: u64 = 1_000;

/// Appends to the feed, as the last write of `transaction`.
///
/// On PostgreSQL one writer at a time may do so: numbers are drawn before COMMIT, and a reader must
/// never see a number while a smaller one is still to come.
pub(in crate::store) async fn append(
    transaction: &DatabaseTransaction,
    change: Change,
    at_ms: i64,
) -> Result<(), StoreError> {
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        transaction
            .execute_unprepared("LOCK TABLE changes IN EXCLUSIVE MODE")
            .await?;
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
        ring(transaction).await?;
    }
    Ok(())
}

/// Tells those who listen, when the transaction commits. A server that cannot do that must not undo the
/// change: whoever follows the feed looks at it anyway.
async fn ring(transaction: &DatabaseTransaction) -> Result<(), StoreError> {
    let within = transaction.begin().await?;
    match within.execute_unprepared(&format!("NOTIFY {BELL}")).await {
        Ok(_) => within.commit().await?,
        Err(error) if code(&error).as_deref() == Some(NOT_SUPPORTED) => within.rollback().await?,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Rings when something was appended to the feed.
pub struct ChangeBell(PgListener);

impl ChangeBell {
    /// Waits for the bell. It also rings when the connection was lost and is there again, since one may
    /// have been missed meanwhile.
    ///
    /// # Errors
    /// When the connection is lost and does not come back; then this bell rings no more.
    pub async fn rung(&mut self) -> Result<(), StoreError> {
        self.0.try_recv().await.map_err(failed)?;
        // Many changes are one look.
        while self.0.next_buffered().is_some() {}
        Ok(())
    }
}

impl Store {
    /// A bell on a connection of its own. `None` on SQLite, where nobody can ring.
    ///
    /// # Errors
    /// What the database fails with, also where it knows no `LISTEN`.
    pub async fn change_bell(&self) -> Result<Option<ChangeBell>, StoreError> {
        let Some(server) = self.server() else {
            return Ok(None);
        };
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(BELL_WITHIN)
            .connect_lazy_with(server.as_ref().clone());
        let mut listener = PgListener::connect_with(&pool).await.map_err(failed)?;
        listener.listen(BELL).await.map_err(failed)?;
        Ok(Some(ChangeBell(listener)))
    }

    /// The end of the feed: where a node starts to follow it before it fills its caches.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn last_change(&self) -> Result<i64, StoreError> {
        let last: Option<Option<i64>> = change::Entity::find()
            .select_only()
            .column_as(change::Column::Seq.max(), "seq")
            .into_tuple()
            .one(&self.reader)
            .await?;
        Ok(last.flatten().unwrap_or(0))
    }

    /// What was changed after `seq`, in order, a page at most.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn changes_since(&self, seq: i64) -> Result<Changes, StoreError> {
        let rows = change::Entity::find()
            .filter(change::Column::Seq.gt(seq))
            .order_by_asc(change::Column::Seq)
            .limit(PAGE)
            .all(&self.reader)
            .await?;
        Ok(Changes {
            is_whole: (rows.len() as u64) < PAGE,
            seq: rows.last().map_or(seq, |row| row.seq),
            changes: rows
                .iter()
                .filter_map(|row| Change::from_record(&row.kind, row.subject))
                .collect(),
        })
    }

    /// Forgets changes older than `before_ms`, which every running node has long seen.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn trim_changes(&self, before_ms: i64) -> Result<u64, StoreError> {
        let trimmed = change::Entity::delete_many()
            .filter(change::Column::AtMs.lt(before_ms))
            .exec(self.writing()?)
            .await;
        Ok(self.noted(trimmed)?.rows_affected)
    }
}
