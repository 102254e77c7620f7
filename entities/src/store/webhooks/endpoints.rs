//! Webhook endpoints.

use nexo_domain::ids::{AccountId, EndpointId};
use nexo_domain::webhook::events::EventFilter;
use nexo_domain::webhook::{HashedSecret, MAX_ENDPOINTS};
use sea_orm::sea_query::{Expr, Value};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder,
};
use uuid::Uuid;

use crate::store::accounts::lock_active_account;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::views::Webhooks;
use crate::store::{Conflict, StoreError};
use crate::tables::webhooks::endpoint::{Column, Entity};
use crate::tables::webhooks::{attempt, endpoint};

/// Maximum number of endpoints per account, including paused ones.
const MAX_STORED: usize = 20;

/// Parameters of a new endpoint. The URL must have been validated.
#[derive(Debug, Clone)]
pub struct NewEndpoint<'a> {
    pub account_id: AccountId,
    pub url: &'a str,
    pub secret: HashedSecret,
    pub events: EventFilter,
    pub created_at_ms: i64,
}

/// A stored endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub id: EndpointId,
    pub account_id: AccountId,
    pub url: String,
    pub events: EventFilter,
    pub created_at_ms: i64,
    pub paused_at_ms: Option<i64>,
    /// Until when the previous secret also signs.
    pub old_secret_until_ms: Option<i64>,
}

impl From<endpoint::Model> for Endpoint {
    fn from(row: endpoint::Model) -> Endpoint {
        Endpoint {
            id: EndpointId(row.id),
            account_id: AccountId(row.account_id),
            url: row.url,
            events: EventFilter::from_record(&row.events),
            created_at_ms: row.created_at_ms,
            paused_at_ms: row.paused_at_ms,
            old_secret_until_ms: row.old_secret_until_ms,
        }
    }
}

/// A change of an endpoint's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointChange {
    /// New events are not queued for it, and queued ones wait.
    Pause,
    Resume,
    /// Permanent. Queued attempts fail.
    Remove,
}

impl Webhooks<'_> {
    /// Adds an endpoint.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::AccountSuspended`],
    /// [`Conflict::TooManyActiveEndpoints`], [`Conflict::TooManyStoredEndpoints`].
    pub async fn add_endpoint(self, new: NewEndpoint<'_>) -> Result<EndpointId, StoreError> {
        let id = EndpointId(Uuid::now_v7());
        let transaction = self.store.begin().await?;
        lock_active_account(&transaction, new.account_id).await?;
        let kept = Entity::find()
            .filter(Column::AccountId.eq(new.account_id.0))
            .filter(Column::RemovedAtMs.is_null())
            .count(&transaction)
            .await?;
        if kept >= MAX_STORED as u64 {
            return Err(Conflict::TooManyStoredEndpoints { max: MAX_STORED }.into());
        }
        if active(&transaction, new.account_id).await? >= MAX_ENDPOINTS as u64 {
            return Err(Conflict::TooManyActiveEndpoints { max: MAX_ENDPOINTS }.into());
        }
        let endpoint = endpoint::ActiveModel {
            id: Set(id.0),
            account_id: Set(new.account_id.0),
            url: Set(new.url.to_owned()),
            secret_hash: Set(new.secret.as_record().to_owned()),
            old_secret_hash: Set(None),
            old_secret_until_ms: Set(None),
            created_at_ms: Set(new.created_at_ms),
            paused_at_ms: Set(None),
            resumed_at_ms: Set(None),
            removed_at_ms: Set(None),
            events: Set(new.events.to_string()),
            events_changed_at_ms: Set(None),
        };
        Entity::insert(endpoint).exec(&transaction).await?;
        let change = Change::Endpoints(new.account_id);
        append_change(&transaction, change, new.created_at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(id)
    }

    /// Returns all endpoints, or those of one account, oldest first, without removed ones.
    pub async fn endpoints(self, account: Option<AccountId>) -> Result<Vec<Endpoint>, StoreError> {
        let mut find = Entity::find()
            .filter(Column::RemovedAtMs.is_null())
            .order_by_asc(Column::CreatedAtMs)
            .order_by_asc(Column::Id);
        if let Some(account) = account {
            find = find.filter(Column::AccountId.eq(account.0));
        }
        let rows = find.all(&self.store.reader).await?;
        Ok(rows.into_iter().map(Endpoint::from).collect())
    }

    /// Returns the endpoint if it belongs to the account and was not removed.
    pub async fn endpoint(
        self,
        account: AccountId,
        id: EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        let row = Entity::find_by_id(id.0)
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::RemovedAtMs.is_null())
            .one(&self.store.reader)
            .await?;
        Ok(row.map(Endpoint::from))
    }

    /// The hash of the endpoint's current secret, unless it was removed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn secret(
        self,
        account: AccountId,
        id: EndpointId,
    ) -> Result<Option<HashedSecret>, StoreError> {
        let row = Entity::find_by_id(id.0)
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::RemovedAtMs.is_null())
            .one(&self.store.reader)
            .await?;
        Ok(row.map(|row| HashedSecret::from_record(row.secret_hash)))
    }

    /// Sets a new secret; the previous one also signs until `old_until_ms`. Returns false if the
    /// endpoint does not belong to the account or was removed.
    pub async fn rotate_secret(
        self,
        account: AccountId,
        id: EndpointId,
        secret: HashedSecret,
        old_until_ms: i64,
    ) -> Result<bool, StoreError> {
        // The right-hand sides are the values before the update.
        let rotated = Entity::update_many()
            .col_expr(Column::OldSecretHash, Expr::col(Column::SecretHash))
            .col_expr(Column::OldSecretUntilMs, Expr::value(old_until_ms))
            .col_expr(Column::SecretHash, Expr::value(secret.as_record()))
            .filter(Column::Id.eq(id.0))
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::RemovedAtMs.is_null())
            .exec(self.store.write_connection()?)
            .await;
        Ok(self.store.check_write(rotated)?.rows_affected > 0)
    }

    /// Sets the events that an endpoint receives from now on. Returns false if it does not belong to the account or
    /// was removed.
    pub async fn choose_events(
        self,
        account: AccountId,
        id: EndpointId,
        events: EventFilter,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let changed = Entity::update_many()
            .col_expr(Column::Events, Expr::value(events.to_string()))
            .col_expr(Column::EventsChangedAtMs, Expr::value(at_ms))
            .filter(Column::Id.eq(id.0))
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::RemovedAtMs.is_null())
            .exec(&transaction)
            .await?;
        if changed.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        append_change(&transaction, Change::Endpoints(account), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Pauses, resumes or removes an endpoint. Returns false if that changes nothing or the
    /// endpoint does not belong to the account.
    ///
    /// # Errors
    /// [`Conflict::TooManyActiveEndpoints`] if resuming would exceed the limit,
    /// [`Conflict::AccountClosed`] and [`Conflict::AccountSuspended`] when resuming.
    pub async fn change_endpoint(
        self,
        account: AccountId,
        id: EndpointId,
        change: EndpointChange,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let (column, value, applies) = match change {
            EndpointChange::Pause => {
                (Column::PausedAtMs, Some(at_ms), Column::PausedAtMs.is_null())
            }
            EndpointChange::Resume => (Column::PausedAtMs, None, Column::PausedAtMs.is_not_null()),
            EndpointChange::Remove => {
                (Column::RemovedAtMs, Some(at_ms), Column::RemovedAtMs.is_null())
            }
        };
        let transaction = self.store.begin().await?;
        if change == EndpointChange::Resume {
            lock_active_account(&transaction, account).await?;
        }
        let changed = Entity::update_many()
            .col_expr(column, Expr::value(Value::BigInt(value)))
            .filter(Column::Id.eq(id.0))
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::RemovedAtMs.is_null())
            .filter(applies)
            .exec(&transaction)
            .await?;
        if changed.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        if change == EndpointChange::Resume {
            if active(&transaction, account).await? > MAX_ENDPOINTS as u64 {
                return Err(Conflict::TooManyActiveEndpoints { max: MAX_ENDPOINTS }.into());
            }
            Entity::update_many()
                .col_expr(Column::ResumedAtMs, Expr::value(at_ms))
                .filter(Column::Id.eq(id.0))
                .exec(&transaction)
                .await?;
        }
        if change == EndpointChange::Remove {
            attempt::Entity::update_many()
                .col_expr(attempt::Column::Status, Expr::value("failed"))
                .col_expr(attempt::Column::FinishedAtMs, Expr::value(at_ms))
                .col_expr(attempt::Column::Error, Expr::value("the endpoint was removed"))
                .filter(Expr::cust("status = 'pending'"))
                .filter(attempt::Column::EndpointId.eq(id.0))
                .exec(&transaction)
                .await?;
        }
        append_change(&transaction, Change::Endpoints(account), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }
}

/// Returns the number of the account's active endpoints.
async fn active(transaction: &DatabaseTransaction, account: AccountId) -> Result<u64, StoreError> {
    let active = Entity::find()
        .filter(Column::AccountId.eq(account.0))
        .filter(Column::RemovedAtMs.is_null())
        .filter(Column::PausedAtMs.is_null())
        .count(transaction)
        .await?;
    Ok(active)
}
