//! An endpoint's attempts, the latest first, and what its owner sends by hand: a test, or all that failed.

use nexo_domain::ids::{AccountId, DeliveryId, EndpointId, WebhookAttemptId};
use nexo_domain::webhook::TEST_EVENT;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::attempts::{WebhookAttempt, attempt};
use crate::store::cluster::changes::{Change, append};
use crate::store::{Store, StoreError};
use crate::tables::webhooks::attempt::{ActiveModel, Column, Entity};

/// A place between two attempts of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptPlace {
    pub created_at_ms: i64,
    pub id: WebhookAttemptId,
}

/// A page of attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPage {
    pub attempts: Vec<WebhookAttempt>,
    /// What the next page starts after; `None` where this is the last one.
    pub next: Option<AttemptPlace>,
}

/// The most attempts that are replayed at once.
pub const MOST_REPLAYED: u64 = 1_000;

/// The last attempt of each event, where that failed or is not known to have arrived: what was replayed
/// since, and arrived or is on its way, is left alone.
const FAILED_SINCE: &str = "\
    SELECT a.id FROM webhook_attempts AS a \
    WHERE a.endpoint_id = ? AND a.account_id = ? AND a.created_at_ms >= ? \
    AND a.status IN ('failed', 'unknown') AND NOT EXISTS ( \
    SELECT 1 FROM webhook_attempts AS later WHERE later.delivery_id = a.delivery_id \
    AND later.endpoint_id = a.endpoint_id AND later.id <> a.id \
    AND (later.created_at_ms > a.created_at_ms \
    OR (later.created_at_ms = a.created_at_ms AND later.id > a.id))) \
    ORDER BY a.created_at_ms, a.id LIMIT ?";

impl Store {
    /// The attempts to an endpoint, the latest first: those after the place `after`, at most `limit`.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn attempt_page(
        &self,
        account: AccountId,
        endpoint: EndpointId,
        after: Option<AttemptPlace>,
        limit: u64,
    ) -> Result<AttemptPage, StoreError> {
        let mut find = Entity::find()
            .filter(Column::EndpointId.eq(endpoint.0))
            .filter(Column::AccountId.eq(account.0));
        if let Some(place) = after {
            find = find
                .filter(Column::CreatedAtMs.lte(place.created_at_ms))
                .filter(
                    Condition::any()
                        .add(Column::CreatedAtMs.lt(place.created_at_ms))
                        .add(Column::Id.lt(place.id.0)),
                );
        }
        let mut rows = find
            .order_by_desc(Column::CreatedAtMs)
            .order_by_desc(Column::Id)
            .limit(limit + 1)
            .all(&self.reader)
            .await?;
        let is_last = rows.len() as u64 <= limit;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| !is_last).map(|row| AttemptPlace {
            created_at_ms: row.created_at_ms,
            id: WebhookAttemptId(row.id),
        });
        Ok(AttemptPage {
            attempts: rows.into_iter().map(attempt).collect(),
            next,
        })
    }

    /// Queues a test event for an endpoint that has been checked to be the account's and active. Its
    /// delivery's id is that of no delivery.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn queue_test_event(
        &self,
        account: AccountId,
        endpoint: EndpointId,
        delivery: DeliveryId,
        body: String,
        at_ms: i64,
    ) -> Result<WebhookAttemptId, StoreError> {
        let id = WebhookAttemptId(Uuid::now_v7());
        let transaction = self.begin().await?;
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
        append(&transaction, Change::WebhookAttempt(id), at_ms).await?;
        self.end(transaction).await?;
        Ok(id)
    }

    /// Queues again, for an endpoint of the account, every event since `since_ms` whose last attempt failed
    /// or is unknown: the oldest [`MOST_REPLAYED`]. Returns how many.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn replay_failed(
        &self,
        account: AccountId,
        endpoint: EndpointId,
        since_ms: i64,
        at_ms: i64,
    ) -> Result<u64, StoreError> {
        let transaction = self.begin().await?;
        let statement = self.sql(
            FAILED_SINCE,
            [
                endpoint.0.into(),
                account.0.into(),
                since_ms.into(),
                (MOST_REPLAYED as i64).into(),
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
                    event_type: Set(old.event_type),
                    body: Set(old.body),
                    status: Set("pending".to_owned()),
                    replay_of: Set(Some(old.id)),
                    created_at_ms: Set(at_ms),
                    ..Default::default()
                })
                .collect();
            count += replays.len() as u64;
            if let Some(first) = replays.first().map(|replay| replay.id.clone().unwrap()) {
                let change = Change::WebhookAttempt(WebhookAttemptId(first));
                append(&transaction, change, at_ms).await?;
                Entity::insert_many(replays).exec(&transaction).await?;
            }
        }
        self.end(transaction).await?;
        Ok(count)
    }
}
