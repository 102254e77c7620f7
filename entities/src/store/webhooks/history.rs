//! An endpoint's attempts, newest first, and test events and bulk replays.

use nexo_domain::ids::{AccountId, DeliveryId, EndpointId, WebhookAttemptId};
use nexo_domain::webhook::TEST_EVENT;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::attempts::{WebhookAttempt, attempt};
use crate::store::StoreError;
use crate::store::accounts::lock_active_account;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::views::Webhooks;
use crate::tables::webhooks::attempt::{ActiveModel, Column, Entity};

/// A position between two attempts of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptCursor {
    pub created_at_ms: i64,
    pub id: WebhookAttemptId,
}

/// A page of attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPage {
    pub attempts: Vec<WebhookAttempt>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<AttemptCursor>,
}

/// Maximum number of attempts replayed at once.
pub const MAX_REPLAYED: u32 = 1_000;

/// The last attempt of each event if it failed or is unknown. Events replayed since are skipped. The end of a
/// verification has the delivery of its last OTP, and another type.
const FAILED_SINCE: &str = "\
    SELECT a.id FROM webhook_attempts AS a \
    WHERE a.endpoint_id = ? AND a.account_id = ? AND a.created_at_ms >= ? \
    AND a.status IN ('failed', 'unknown') AND NOT EXISTS ( \
    SELECT 1 FROM webhook_attempts AS later WHERE later.delivery_id = a.delivery_id \
    AND later.event_type = a.event_type AND later.endpoint_id = a.endpoint_id \
    AND later.id <> a.id \
    AND (later.created_at_ms > a.created_at_ms \
    OR (later.created_at_ms = a.created_at_ms AND later.id > a.id))) \
    ORDER BY a.created_at_ms, a.id LIMIT ?";

impl Webhooks<'_> {
    /// Returns at most `limit` attempts to an endpoint, newest first, after the position `after`.
    pub async fn attempt_page(
        self,
        account: AccountId,
        endpoint: EndpointId,
        after: Option<AttemptCursor>,
        limit: u64,
    ) -> Result<AttemptPage, StoreError> {
        let mut find = Entity::find()
            .filter(Column::EndpointId.eq(endpoint.0))
            .filter(Column::AccountId.eq(account.0));
        if let Some(place) = after {
            find = find.filter(Column::CreatedAtMs.lte(place.created_at_ms)).filter(
                Condition::any()
                    .add(Column::CreatedAtMs.lt(place.created_at_ms))
                    .add(Column::Id.lt(place.id.0)),
            );
        }
        let mut rows = find
            .order_by_desc(Column::CreatedAtMs)
            .order_by_desc(Column::Id)
            .limit(limit + 1)
            .all(&self.store.reader)
            .await?;
        let is_last = rows.len() as u64 <= limit;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| !is_last).map(|row| AttemptCursor {
            created_at_ms: row.created_at_ms,
            id: WebhookAttemptId(row.id),
        });
        Ok(AttemptPage { attempts: rows.into_iter().map(attempt).collect(), next })
    }

    /// Queues a test event. The caller checks that the endpoint belongs to the account and is
    /// active. `delivery` is not the id of a delivery.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`](crate::store::Conflict::AccountClosed),
    /// [`Conflict::AccountSuspended`](crate::store::Conflict::AccountSuspended).
    pub async fn queue_test_event(
        self,
        account: AccountId,
        endpoint: EndpointId,
        delivery: DeliveryId,
        body: String,
        at_ms: i64,
    ) -> Result<WebhookAttemptId, StoreError> {
        let id = WebhookAttemptId(Uuid::now_v7());
        let transaction = self.store.begin().await?;
        lock_active_account(&transaction, account).await?;
        let test = ActiveModel {
            id: Set(id.0),
            endpoint_id: Set(endpoint.0),
            account_id: Set(account.0),
            delivery_id: Set(delivery.0),
            event_type: Set(TEST_EVENT.to_owned()),
            body: Set(body),
            status: Set("pending".to_owned()),
            created_at_ms: Set(at_ms),
            ..Default::default()
        };
        Entity::insert(test).exec(&transaction).await?;
        append_change(&transaction, Change::WebhookAttempt(id), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(id)
    }

    /// Queues again every event of the endpoint since `since_ms` whose last attempt failed or is
    /// unknown: the oldest `most`, at most [`MAX_REPLAYED`]. Returns their number.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`](crate::store::Conflict::AccountClosed),
    /// [`Conflict::AccountSuspended`](crate::store::Conflict::AccountSuspended).
    pub async fn replay_failed(
        self,
        account: AccountId,
        endpoint: EndpointId,
        since_ms: i64,
        most: u32,
        at_ms: i64,
    ) -> Result<u32, StoreError> {
        let transaction = self.store.begin().await?;
        lock_active_account(&transaction, account).await?;
        let statement = self.store.sql(
            FAILED_SINCE,
            [
                endpoint.0.into(),
                account.0.into(),
                since_ms.into(),
                i64::from(most.min(MAX_REPLAYED)).into(),
            ],
        );
        let mut ids: Vec<Uuid> = Vec::new();
        for row in transaction.query_all_raw(statement).await? {
            ids.push(row.try_get_by_index(0)?);
        }
        let mut count = 0;
        for ids in ids.chunks(100) {
            let failed = Entity::find()
                .filter(Column::Id.is_in(ids.iter().copied()))
                .all(&transaction)
                .await?;
            let replays: Vec<ActiveModel> = failed
                .into_iter()
                .map(|old| ActiveModel {
                    id: Set(Uuid::now_v7()),
                    endpoint_id: Set(old.endpoint_id),
                    account_id: Set(old.account_id),
                    delivery_id: Set(old.delivery_id),
                    verification_id: Set(old.verification_id),
                    event_type: Set(old.event_type),
                    body: Set(old.body),
                    status: Set("pending".to_owned()),
                    replay_of: Set(Some(old.id)),
                    created_at_ms: Set(at_ms),
                    ..Default::default()
                })
                .collect();
            count += replays.len() as u32;
            if let Some(first) = replays.first().map(|replay| replay.id.clone().unwrap()) {
                let change = Change::WebhookAttempt(WebhookAttemptId(first));
                append_change(&transaction, change, at_ms).await?;
                Entity::insert_many(replays).exec(&transaction).await?;
            }
        }
        self.store.commit(transaction).await?;
        Ok(count)
    }
}
