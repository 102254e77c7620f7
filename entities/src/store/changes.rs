//! The feed of changes: how a running node notices within a second what a command changed.

use nexo_domain::ids::{AccountId, KeyId, WebhookAttemptId};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::changes;

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
}

/// The most changes that one page holds.
const PAGE: u64 = 1_000;

/// Appends to the feed, as the last write of `transaction`.
///
/// On PostgreSQL one writer at a time may do so: numbers are drawn before COMMIT, and a reader must
/// never see a number while a smaller one is still to come.
pub(super) async fn append(
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
    let row = changes::ActiveModel {
        seq: NotSet,
        kind: Set(kind.to_owned()),
        subject: Set(subject),
        at_ms: Set(at_ms),
    };
    changes::Entity::insert(row).exec(transaction).await?;
    Ok(())
}

impl Store {
    /// The end of the feed: where a node starts to follow it before it fills its caches.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn last_change(&self) -> Result<i64, StoreError> {
        let last: Option<Option<i64>> = changes::Entity::find()
            .select_only()
            .column_as(changes::Column::Seq.max(), "seq")
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
        let rows = changes::Entity::find()
            .filter(changes::Column::Seq.gt(seq))
            .order_by_asc(changes::Column::Seq)
            .limit(PAGE)
            .all(&self.reader)
            .await?;
        Ok(Changes {
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
        let trimmed = changes::Entity::delete_many()
            .filter(changes::Column::AtMs.lt(before_ms))
            .exec(self.writing()?)
            .await;
        Ok(self.noted(trimmed)?.rows_affected)
    }
}
