//! The outbox of webhooks: `pending → sending → delivered | failed`, and `unknown` after a crash.
//!
//! `sending` is committed before the POST. So nothing is sent twice by itself: what was never claimed is
//! sent after a restart, what was claimed is shown as `unknown` and left for a manual replay.

use std::collections::HashMap;

use nexo_domain::ids::{AccountId, DeliveryId, EndpointId, WebhookAttemptId};
use nexo_domain::trace_parent::TraceParent;
use nexo_domain::webhook::HashedSecret;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QueryResult, Value,
};
use uuid::Uuid;

use crate::store::cluster::changes::{Change, append};
use crate::store::ledger::posting::NodeEpoch;
use crate::store::sql::bulk::Column::{Int, Text, Uuid as Id};
use crate::store::sql::bulk::{Bulk, NONE};
use crate::store::{Conflict, Store, StoreError};
use crate::tables::webhooks::attempt::{ActiveModel, Column, Entity, Model};
use crate::tables::webhooks::endpoint;

/// An attempt that is this node's to send, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedAttempt {
    pub id: WebhookAttemptId,
    pub endpoint_id: EndpointId,
    pub account_id: AccountId,
    pub delivery_id: DeliveryId,
    pub event_type: String,
    /// The exact bytes to be sent and signed.
    pub body: String,
    pub url: String,
    pub secret: HashedSecret,
    /// The secret before it, where that signs too.
    pub old_secret: Option<HashedSecret>,
    pub created_at_ms: i64,
    /// The trace that it is part of.
    pub trace: Option<TraceParent>,
}

/// The end of one POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedAttempt {
    pub id: WebhookAttemptId,
    /// Whether the receiver took it (HTTP 2xx in time).
    pub delivered: bool,
    /// HTTP status, where there was an answer.
    pub status_code: Option<u16>,
    pub duration_ms: i64,
    /// The answer's first KiB.
    pub response_head: Option<String>,
    pub error: Option<String>,
    pub finished_at_ms: i64,
}

/// An attempt as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAttempt {
    pub id: WebhookAttemptId,
    pub endpoint_id: EndpointId,
    pub account_id: AccountId,
    pub delivery_id: DeliveryId,
    pub event_type: String,
    pub body: String,
    /// `pending`, `sending`, `delivered`, `failed` or `unknown`.
    pub status: String,
    pub replay_of: Option<WebhookAttemptId>,
    pub created_at_ms: i64,
    pub started_at_ms: Option<i64>,
    pub finished_at_ms: Option<i64>,
    /// HTTP status.
    pub status_code: Option<i16>,
    pub duration_ms: Option<i64>,
    pub response_head: Option<String>,
    pub error: Option<String>,
}

/// How much of the outbox is claimed at once.
#[derive(Debug, Clone, Copy)]
pub struct ClaimLimits {
    pub attempts: u32,
    /// With those that are being sent to it already.
    pub per_endpoint: u32,
}

/// A replay reaches a paused endpoint too: somebody asked for it.
const CANDIDATES: &str = "\
    SELECT id, endpoint_id, account_id, delivery_id, event_type, body, url, secret_hash, \
    created_at_ms, old_secret_hash, old_secret_until_ms, traceparent FROM ( \
    SELECT a.id, a.endpoint_id, a.account_id, a.delivery_id, a.event_type, a.body, e.url, \
    e.secret_hash, a.created_at_ms, e.old_secret_hash, e.old_secret_until_ms, a.traceparent, \
    ROW_NUMBER() OVER (PARTITION BY a.endpoint_id ORDER BY a.created_at_ms, a.id) AS place \
    FROM webhook_attempts AS a JOIN webhook_endpoints AS e ON e.id = a.endpoint_id \
    WHERE a.status = 'pending' AND e.removed_at_ms IS NULL \
    AND (e.paused_at_ms IS NULL OR a.replay_of IS NOT NULL) ";

static CLAIM: Bulk = Bulk::new(
    "UPDATE webhook_attempts SET status = 'sending', node = v.column2, started_at_ms = v.column3",
    &[Id, Text, Int],
    "WHERE webhook_attempts.id = v.column1 AND webhook_attempts.status = 'pending' \
     RETURNING webhook_attempts.id",
);

/// [`CLAIM`] where other nodes may end our epoch: then nothing is claimed.
static CLAIM_FENCED: Bulk = Bulk::new(
    "WITH fence AS (SELECT name FROM nodes WHERE name = ? AND epoch = ? FOR KEY SHARE) \
     UPDATE webhook_attempts SET status = 'sending', node = v.column2, started_at_ms = v.column3",
    &[Id, Text, Int],
    "CROSS JOIN fence WHERE webhook_attempts.id = v.column1 \
     AND webhook_attempts.status = 'pending' RETURNING webhook_attempts.id",
);

static FINISH: Bulk = Bulk::new(
    "UPDATE webhook_attempts SET status = v.column2, status_code = NULLIF(v.column3, -1), \
     duration_ms = v.column4, response_head = NULLIF(v.column5, ''), \
     error = NULLIF(v.column6, ''), finished_at_ms = v.column7",
    &[Id, Text, Int, Int, Text, Text, Int],
    "WHERE webhook_attempts.id = v.column1 AND webhook_attempts.status = 'sending'",
);

impl Store {
    /// Claims waiting attempts for this node, the oldest of each endpoint first. They are `sending` from
    /// here on. `in_flight`: how many this node is sending to which endpoint.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn claim_webhooks(
        &self,
        node: &NodeEpoch,
        in_flight: &HashMap<EndpointId, u32>,
        limits: ClaimLimits,
        now_ms: i64,
    ) -> Result<Vec<ClaimedAttempt>, StoreError> {
        let mut sql = CANDIDATES.to_owned();
        let busy: Vec<EndpointId> = in_flight
            .iter()
            .filter(|(_, count)| **count >= limits.per_endpoint)
            .map(|(endpoint, _)| *endpoint)
            .collect();
        if !busy.is_empty() {
            let places = vec!["?"; busy.len()].join(",");
            sql.push_str(&format!("AND a.endpoint_id NOT IN ({places}) "));
        }
        sql.push_str(") AS c WHERE place <= ? ORDER BY place, created_at_ms, id LIMIT ?");
        let values = busy.iter().map(|endpoint| Value::from(endpoint.0)).chain([
            Value::from(i64::from(limits.per_endpoint)),
            Value::from(i64::from(limits.attempts)),
        ]);
        let rows = self.reader.query_all_raw(self.sql(&sql, values)).await?;
        let mut attempts = candidates(&rows, now_ms)?;
        let mut with_these = in_flight.clone();
        attempts.retain(|attempt| {
            let count = with_these.entry(attempt.endpoint_id).or_default();
            *count += 1;
            *count <= limits.per_endpoint
        });
        let (claim, scalars): (&'static Bulk, Vec<Value>) = match self.is_sqlite() {
            true => (&CLAIM, Vec::new()),
            false => {
                let (name, epoch) = (node.node.as_ref(), node.epoch);
                (&CLAIM_FENCED, vec![name.into(), epoch.into()])
            }
        };
        self.claim(claim, &scalars, node, attempts, now_ms).await
    }

    /// Claims one attempt in this node's name, if it still waits: for a command, which has no epoch.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn claim_webhook(
        &self,
        node: &NodeEpoch,
        id: WebhookAttemptId,
        now_ms: i64,
    ) -> Result<Option<ClaimedAttempt>, StoreError> {
        let sql = format!("{CANDIDATES} AND a.id = ?) AS c");
        let statement = self.sql(&sql, [Value::from(id.0)]);
        let rows = self.reader.query_all_raw(statement).await?;
        let attempts = candidates(&rows, now_ms)?;
        let claimed = self.claim(&CLAIM, &[], node, attempts, now_ms).await?;
        Ok(claimed.into_iter().next())
    }

    /// Of two that claim the same attempt, the update lets one.
    async fn claim(
        &self,
        claim: &'static Bulk,
        scalars: &[Value],
        node: &NodeEpoch,
        mut attempts: Vec<ClaimedAttempt>,
        now_ms: i64,
    ) -> Result<Vec<ClaimedAttempt>, StoreError> {
        let mut rows = claim.rows(attempts.len());
        for attempt in &attempts {
            let name = node.node.as_ref();
            rows.push([attempt.id.0.into(), name.into(), now_ms.into()]);
        }
        let claimed = claim.query(self.writing()?, scalars, rows).await;
        let claimed: Vec<Uuid> = self
            .noted(claimed)?
            .iter()
            .map(|row| row.try_get_by_index(0))
            .collect::<Result<_, _>>()?;
        attempts.retain(|attempt| claimed.contains(&attempt.id.0));
        Ok(attempts)
    }

    /// Keeps what became of POSTs, many at once. An attempt that is no longer `sending` stays as it is.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn finish_webhooks(&self, finished: &[FinishedAttempt]) -> Result<u64, StoreError> {
        let mut rows = FINISH.rows(finished.len());
        for attempt in finished {
            let status = if attempt.delivered {
                "delivered"
            } else {
                "failed"
            };
            rows.push([
                attempt.id.0.into(),
                status.into(),
                attempt.status_code.map_or(NONE, i64::from).into(),
                attempt.duration_ms.into(),
                storable(attempt.response_head.as_deref()).into(),
                storable(attempt.error.as_deref()).into(),
                attempt.finished_at_ms.into(),
            ]);
        }
        self.noted(FINISH.execute(self.writing()?, &[], rows).await)
    }

    /// Queues the same bytes for the same endpoint once more.
    ///
    /// # Errors
    /// [`Conflict::AttemptUnknown`] also when it is not `account`'s, [`Conflict::EndpointRemoved`]; what
    /// the database fails with.
    pub async fn replay_webhook(
        &self,
        id: WebhookAttemptId,
        account: Option<AccountId>,
        at_ms: i64,
    ) -> Result<WebhookAttemptId, StoreError> {
        let transaction = self.begin().await?;
        let old = Entity::find_by_id(id.0)
            .one(&transaction)
            .await?
            .filter(|old| account.is_none_or(|account| account.0 == old.account_id))
            .ok_or(Conflict::AttemptUnknown)?;
        let endpoint = endpoint::Entity::find_by_id(old.endpoint_id)
            .filter(endpoint::Column::RemovedAtMs.is_null())
            .one(&transaction)
            .await?;
        if endpoint.is_none() {
            return Err(Conflict::EndpointRemoved.into());
        }
        let replay = WebhookAttemptId(Uuid::now_v7());
        let attempt = ActiveModel {
            id: Set(replay.0),
            endpoint_id: Set(old.endpoint_id),
            account_id: Set(old.account_id),
            delivery_id: Set(old.delivery_id),
            event_type: Set(old.event_type),
            body: Set(old.body),
            status: Set("pending".to_owned()),
            replay_of: Set(Some(old.id)),
            created_at_ms: Set(at_ms),
            ..Default::default()
        };
        Entity::insert(attempt).exec(&transaction).await?;
        append(&transaction, Change::WebhookAttempt(replay), at_ms).await?;
        self.end(transaction).await?;
        Ok(replay)
    }

    /// The attempt, if there is one.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn webhook_attempt(
        &self,
        id: WebhookAttemptId,
    ) -> Result<Option<WebhookAttempt>, StoreError> {
        let row = Entity::find_by_id(id.0).one(&self.reader).await?;
        Ok(row.map(attempt))
    }

    /// The attempts of a delivery's event, oldest first.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn webhook_attempts(
        &self,
        delivery: DeliveryId,
    ) -> Result<Vec<WebhookAttempt>, StoreError> {
        let rows = Entity::find()
            .filter(Column::DeliveryId.eq(delivery.0))
            .order_by_asc(Column::CreatedAtMs)
            .order_by_asc(Column::Id)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(attempt).collect())
    }

    /// How many attempts wait to be sent.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn webhook_backlog(&self) -> Result<u64, StoreError> {
        Ok(Entity::find()
            .filter(Expr::cust("status = 'pending'"))
            .count(&self.reader)
            .await?)
    }
}

/// PostgreSQL takes no NUL in a text; a receiver's answer may hold one.
fn storable(text: Option<&str>) -> String {
    text.unwrap_or_default().replace('\0', "\u{fffd}")
}

fn candidates(rows: &[QueryResult], now_ms: i64) -> Result<Vec<ClaimedAttempt>, DbErr> {
    rows.iter().map(|row| candidate(row, now_ms)).collect()
}

fn candidate(row: &QueryResult, now_ms: i64) -> Result<ClaimedAttempt, DbErr> {
    let old: Option<String> = row.try_get_by_index(9)?;
    let old_until: Option<i64> = row.try_get_by_index(10)?;
    let trace: Option<String> = row.try_get_by_index(11)?;
    let signs_too = old_until.is_some_and(|until| now_ms < until);
    Ok(ClaimedAttempt {
        id: WebhookAttemptId(row.try_get_by_index(0)?),
        endpoint_id: EndpointId(row.try_get_by_index(1)?),
        account_id: AccountId(row.try_get_by_index(2)?),
        delivery_id: DeliveryId(row.try_get_by_index(3)?),
        event_type: row.try_get_by_index(4)?,
        body: row.try_get_by_index(5)?,
        url: row.try_get_by_index(6)?,
        secret: HashedSecret::from_record(row.try_get_by_index(7)?),
        created_at_ms: row.try_get_by_index(8)?,
        old_secret: old.filter(|_| signs_too).map(HashedSecret::from_record),
        trace: trace.and_then(|trace| trace.parse().ok()),
    })
}

pub(in crate::store) fn attempt(row: Model) -> WebhookAttempt {
    WebhookAttempt {
        id: WebhookAttemptId(row.id),
        endpoint_id: EndpointId(row.endpoint_id),
        account_id: AccountId(row.account_id),
        delivery_id: DeliveryId(row.delivery_id),
        event_type: row.event_type,
        body: row.body,
        status: row.status,
        replay_of: row.replay_of.map(WebhookAttemptId),
        created_at_ms: row.created_at_ms,
        started_at_ms: row.started_at_ms,
        finished_at_ms: row.finished_at_ms,
        status_code: row.status_code,
        duration_ms: row.duration_ms,
        response_head: row.response_head,
        error: row.error,
    }
}
