//! The outbox of webhooks: `pending → sending → delivered | failed`, and `unknown` after a crash.
//!
//! `sending` is committed before the POST, so nothing is sent twice automatically: unclaimed
//! attempts are sent after a restart, claimed ones become `unknown` and are left for a manual
//! replay.

use std::collections::HashMap;

use nexo_domain::ids::{AccountId, DeliveryId, EndpointId, VerificationId, WebhookAttemptId};
use nexo_domain::trace_parent::TraceParent;
use nexo_domain::webhook::HashedSecret;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QueryResult, Value,
};
use uuid::Uuid;

use crate::store::accounts::refuse_if_suspended;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::ledger::posting::NodeEpoch;
use crate::store::sql::bulk::Column::{Int, Text, Uuid as Id};
use crate::store::sql::bulk::{Bulk, NULL_INT};
use crate::store::sql::rows::{Columns, scalar};
use crate::store::views::Webhooks;
use crate::store::{Conflict, StoreError};
use crate::tables::webhooks::attempt::{ActiveModel, Column, Entity, Model, finished_at};
use crate::tables::webhooks::endpoint;

/// An attempt that this node must send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedAttempt {
    pub id: WebhookAttemptId,
    pub endpoint_id: EndpointId,
    pub account_id: AccountId,
    /// The OTP; of a verification, its last one.
    pub delivery_id: DeliveryId,
    /// The verification whose end the event tells.
    pub verification_id: Option<VerificationId>,
    pub event_type: String,
    /// The exact bytes to send and sign.
    pub body: String,
    pub url: String,
    pub secret: HashedSecret,
    /// The previous secret, if it still signs.
    pub old_secret: Option<HashedSecret>,
    pub created_at_ms: i64,
    /// The trace to continue.
    pub trace: Option<TraceParent>,
}

impl ClaimedAttempt {
    /// What all attempts for the event have in common. An OTP and a verification have one final event each.
    pub fn event_id(&self) -> Uuid {
        self.verification_id.map_or(self.delivery_id.0, |id| id.0)
    }
}

/// The result of one POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedAttempt {
    pub id: WebhookAttemptId,
    /// Whether the receiver accepted it (HTTP 2xx in time).
    pub delivered: bool,
    /// HTTP status, if there was a response.
    pub status_code: Option<u16>,
    pub duration_ms: i64,
    /// The first KiB of the response.
    pub response_head: Option<String>,
    pub error: Option<String>,
    pub finished_at_ms: i64,
}

/// A stored attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAttempt {
    pub id: WebhookAttemptId,
    pub endpoint_id: EndpointId,
    pub account_id: AccountId,
    /// The OTP; of a verification, its last one.
    pub delivery_id: DeliveryId,
    /// The verification whose end the event tells.
    pub verification_id: Option<VerificationId>,
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
    /// Including attempts in flight to the endpoint.
    pub per_endpoint: u32,
}

/// How many attempts in `sending` are checked for being stuck. The nodes together send far fewer at once.
const MAX_SENDING: i64 = 10_000;
/// How many stuck attempts one statement marks.
const MAX_EXPIRED_AT_ONCE: usize = 500;

/// A replay also reaches a paused endpoint, because it was requested. Attempts of a suspended account
/// wait until the suspension ends.
const CANDIDATES: &str = "\
    SELECT id, endpoint_id, account_id, delivery_id, event_type, body, url, secret_hash, \
    created_at_ms, old_secret_hash, old_secret_until_ms, traceparent, verification_id FROM ( \
    SELECT a.id, a.endpoint_id, a.account_id, a.delivery_id, a.event_type, a.body, e.url, \
    e.secret_hash, a.created_at_ms, e.old_secret_hash, e.old_secret_until_ms, a.traceparent, \
    a.verification_id, \
    ROW_NUMBER() OVER (PARTITION BY a.endpoint_id ORDER BY a.created_at_ms, a.id) AS place \
    FROM webhook_attempts AS a JOIN webhook_endpoints AS e ON e.id = a.endpoint_id \
    JOIN accounts AS o ON o.id = a.account_id \
    WHERE a.status = 'pending' AND e.removed_at_ms IS NULL AND o.suspended_at_ms IS NULL \
    AND (e.paused_at_ms IS NULL OR a.replay_of IS NOT NULL) ";

/// Attempts of paused endpoints and suspended accounts wait for a decision and do not count.
const OLDEST: &str = "\
    SELECT MIN(a.created_at_ms) FROM webhook_attempts AS a \
    JOIN webhook_endpoints AS e ON e.id = a.endpoint_id \
    JOIN accounts AS o ON o.id = a.account_id \
    WHERE a.status = 'pending' AND e.removed_at_ms IS NULL AND o.suspended_at_ms IS NULL \
    AND (e.paused_at_ms IS NULL OR a.replay_of IS NOT NULL)";

/// The clock may have been set back since the attempt was queued: it never starts before that.
static CLAIM: Bulk = Bulk::new(
    "UPDATE webhook_attempts SET status = 'sending', node = v.column2, started_at_ms = \
     CASE WHEN v.column3 < created_at_ms THEN created_at_ms ELSE v.column3 END",
    &[Id, Text, Int],
    "WHERE webhook_attempts.id = v.column1 AND webhook_attempts.status = 'pending' \
     RETURNING webhook_attempts.id",
);

/// [`CLAIM`] if other nodes may end our epoch: then nothing is claimed.
static CLAIM_FENCED: Bulk = Bulk::new(
    "WITH fence AS (SELECT name FROM nodes WHERE name = ? AND epoch = ? FOR KEY SHARE) \
     UPDATE webhook_attempts SET status = 'sending', node = v.column2, started_at_ms = \
     CASE WHEN v.column3 < created_at_ms THEN created_at_ms ELSE v.column3 END",
    &[Id, Text, Int],
    "CROSS JOIN fence WHERE webhook_attempts.id = v.column1 \
     AND webhook_attempts.status = 'pending' RETURNING webhook_attempts.id",
);

static RELEASE: Bulk = Bulk::new(
    "UPDATE webhook_attempts SET status = 'pending', node = NULL, started_at_ms = NULL",
    &[Id, Text],
    "WHERE webhook_attempts.id = v.column1 AND webhook_attempts.node = v.column2 \
     AND webhook_attempts.status = 'sending' \
     AND EXISTS (SELECT 1 FROM webhook_endpoints AS e \
     WHERE e.id = webhook_attempts.endpoint_id AND e.removed_at_ms IS NULL)",
);

static FINISH: Bulk = Bulk::new(
    "UPDATE webhook_attempts SET status = v.column2, status_code = NULLIF(v.column3, -1), \
     duration_ms = v.column4, response_head = NULLIF(v.column5, ''), \
     error = NULLIF(v.column6, ''), finished_at_ms = \
     CASE WHEN v.column7 < started_at_ms THEN started_at_ms ELSE v.column7 END",
    &[Id, Text, Int, Int, Text, Text, Int],
    "WHERE webhook_attempts.id = v.column1 AND webhook_attempts.status = 'sending'",
);

impl Webhooks<'_> {
    /// Claims waiting attempts for this node, the oldest of each endpoint first, and marks them
    /// `sending`. `in_flight`: number of attempts that this node is sending, by endpoint.
    pub async fn claim(
        self,
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
        let rows = self.store.core_reader.query_all_raw(self.store.sql(&sql, values)).await?;
        let mut attempts = candidates(&rows, now_ms)?;
        let mut counts = in_flight.clone();
        attempts.retain(|attempt| {
            let count = counts.entry(attempt.endpoint_id).or_default();
            *count += 1;
            *count <= limits.per_endpoint
        });
        let (claim, scalars): (&'static Bulk, Vec<Value>) = match self.store.is_sqlite() {
            true => (&CLAIM, Vec::new()),
            false => {
                let (name, epoch) = (node.node.as_ref(), node.epoch);
                (&CLAIM_FENCED, vec![name.into(), epoch.into()])
            }
        };
        self.mark_sending(claim, &scalars, node, attempts, now_ms).await
    }

    /// Claims one waiting attempt for a command, which has no epoch.
    pub async fn claim_one(
        self,
        node: &NodeEpoch,
        id: WebhookAttemptId,
        now_ms: i64,
    ) -> Result<Option<ClaimedAttempt>, StoreError> {
        let sql = format!("{CANDIDATES} AND a.id = ?) AS c");
        let statement = self.store.sql(&sql, [Value::from(id.0)]);
        let rows = self.store.core_reader.query_all_raw(statement).await?;
        let attempts = candidates(&rows, now_ms)?;
        let claimed = self.mark_sending(&CLAIM, &[], node, attempts, now_ms).await?;
        Ok(claimed.into_iter().next())
    }

    /// Marks attempts as `sending`. If two processes claim the same attempt, the update succeeds for one.
    async fn mark_sending(
        self,
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
        let claimed = claim.query(self.store.write_connection()?, scalars, rows).await;
        let claimed: Vec<Uuid> = self
            .store
            .check_write(claimed)?
            .iter()
            .map(|row| row.try_get_by_index(0))
            .collect::<Result<_, _>>()?;
        attempts.retain(|attempt| claimed.contains(&attempt.id.0));
        Ok(attempts)
    }

    /// Stores the results of POSTs. Attempts that are no longer `sending` do not change.
    pub async fn finish(self, finished: &[FinishedAttempt]) -> Result<u64, StoreError> {
        let mut rows = FINISH.rows(finished.len());
        for attempt in finished {
            let status = if attempt.delivered { "delivered" } else { "failed" };
            rows.push([
                attempt.id.0.into(),
                status.into(),
                attempt.status_code.map_or(NULL_INT, i64::from).into(),
                attempt.duration_ms.into(),
                without_nul(attempt.response_head.as_deref()).into(),
                without_nul(attempt.error.as_deref()).into(),
                attempt.finished_at_ms.into(),
            ]);
        }
        self.store.check_write(FINISH.execute(self.store.write_connection()?, &[], rows).await)
    }

    /// Makes claimed attempts `pending` again that were certainly not sent. `attempts`: each with the node that
    /// claimed it. Attempts that are no longer `sending` do not change.
    pub async fn release(self, attempts: &[(WebhookAttemptId, &str)]) -> Result<u64, StoreError> {
        let mut rows = RELEASE.rows(attempts.len());
        for (id, node) in attempts {
            rows.push([id.0.into(), (*node).into()]);
        }
        let released = RELEASE.execute(self.store.write_connection()?, &[], rows);
        self.store.check_write(released.await)
    }

    /// Queues the same body for the same endpoint again.
    ///
    /// # Errors
    /// [`Conflict::UnknownAttempt`], also if it belongs to another account;
    /// [`Conflict::EndpointRemoved`]; [`Conflict::AccountSuspended`].
    pub async fn replay(
        self,
        id: WebhookAttemptId,
        account: Option<AccountId>,
        at_ms: i64,
    ) -> Result<WebhookAttemptId, StoreError> {
        let transaction = self.store.begin().await?;
        let old = Entity::find_by_id(id.0)
            .one(&transaction)
            .await?
            .filter(|old| account.is_none_or(|account| account.0 == old.account_id))
            .ok_or(Conflict::UnknownAttempt)?;
        let endpoint = endpoint::Entity::find_by_id(old.endpoint_id)
            .filter(endpoint::Column::RemovedAtMs.is_null())
            .one(&transaction)
            .await?;
        if endpoint.is_none() {
            return Err(Conflict::EndpointRemoved.into());
        }
        refuse_if_suspended(&transaction, AccountId(old.account_id)).await?;
        let replay = WebhookAttemptId(Uuid::now_v7());
        let attempt = ActiveModel {
            id: Set(replay.0),
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
        };
        Entity::insert(attempt).exec(&transaction).await?;
        append_change(&transaction, Change::WebhookAttempt(replay), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(replay)
    }

    /// Returns the attempt.
    pub async fn attempt(self, id: WebhookAttemptId) -> Result<Option<WebhookAttempt>, StoreError> {
        let row = Entity::find_by_id(id.0).one(&self.store.reader).await?;
        Ok(row.map(attempt))
    }

    /// Returns the attempts that tell a delivery's end, oldest first.
    pub async fn delivery_attempts(
        self,
        delivery: DeliveryId,
    ) -> Result<Vec<WebhookAttempt>, StoreError> {
        let rows = Entity::find()
            .filter(Column::DeliveryId.eq(delivery.0))
            .filter(Column::VerificationId.is_null())
            .order_by_asc(Column::CreatedAtMs)
            .order_by_asc(Column::Id)
            .all(&self.store.reader)
            .await?;
        Ok(rows.into_iter().map(attempt).collect())
    }

    /// Returns the attempts that tell a verification's end, oldest first.
    pub async fn verification_attempts(
        self,
        verification: VerificationId,
    ) -> Result<Vec<WebhookAttempt>, StoreError> {
        let rows = Entity::find()
            .filter(Column::VerificationId.eq(verification.0))
            .order_by_asc(Column::CreatedAtMs)
            .order_by_asc(Column::Id)
            .all(&self.store.reader)
            .await?;
        Ok(rows.into_iter().map(attempt).collect())
    }

    /// Returns the number of attempts waiting to be sent.
    pub async fn backlog(self) -> Result<u64, StoreError> {
        Ok(Entity::find()
            .filter(Expr::cust("status = 'pending'"))
            .count(&self.store.job_reader)
            .await?)
    }

    /// Returns the attempts that are being sent, at most [`MAX_SENDING`].
    pub async fn sending(self) -> Result<Vec<WebhookAttemptId>, StoreError> {
        let statement = self.store.sql(
            "SELECT id FROM webhook_attempts WHERE status = 'sending' ORDER BY id LIMIT ?",
            [MAX_SENDING.into()],
        );
        let rows = self.store.core_reader.query_all_raw(statement).await?;
        rows.iter().map(|row| Ok(WebhookAttemptId(row.try_get_by_index(0)?))).collect()
    }

    /// Marks those of the attempts as `unknown` that are still `sending`: their senders have exited.
    pub async fn expire_stuck(
        self,
        attempts: &[WebhookAttemptId],
        at_ms: i64,
    ) -> Result<u64, StoreError> {
        let mut expired = 0;
        for attempts in attempts.chunks(MAX_EXPIRED_AT_ONCE) {
            let update = Entity::update_many()
                .col_expr(Column::Status, Expr::value("unknown"))
                .col_expr(Column::FinishedAtMs, finished_at(at_ms))
                .filter(Expr::cust("status = 'sending'"))
                .filter(Column::Id.is_in(attempts.iter().map(|attempt| attempt.0)));
            let done = update.exec(self.store.write_connection()?).await;
            expired += self.store.check_write(done)?.rows_affected;
        }
        Ok(expired)
    }

    /// Returns when the oldest waiting webhook attempt was created; `None` if none waits.
    pub async fn oldest_pending_ms(self) -> Result<Option<i64>, StoreError> {
        let oldest = self.store.sql(OLDEST, []);
        let at_ms: Option<Option<i64>> = scalar(&self.store.job_reader, oldest).await?;
        Ok(at_ms.flatten())
    }
}

/// PostgreSQL rejects NUL in text; a response may contain one.
fn without_nul(text: Option<&str>) -> String {
    text.unwrap_or_default().replace('\0', "\u{fffd}")
}

fn candidates(rows: &[QueryResult], now_ms: i64) -> Result<Vec<ClaimedAttempt>, DbErr> {
    rows.iter().map(|row| candidate(row, now_ms)).collect()
}

fn candidate(row: &QueryResult, now_ms: i64) -> Result<ClaimedAttempt, DbErr> {
    let mut row = Columns::of(row);
    let mut attempt = ClaimedAttempt {
        id: WebhookAttemptId(row.get()?),
        endpoint_id: EndpointId(row.get()?),
        account_id: AccountId(row.get()?),
        delivery_id: DeliveryId(row.get()?),
        verification_id: None,
        event_type: row.get()?,
        body: row.get()?,
        url: row.get()?,
        secret: HashedSecret::from_record(row.get()?),
        created_at_ms: row.get()?,
        old_secret: row.get::<Option<String>>()?.map(HashedSecret::from_record),
        trace: None,
    };
    let old_until_ms: Option<i64> = row.get()?;
    if old_until_ms.is_none_or(|until_ms| now_ms >= until_ms) {
        attempt.old_secret = None;
    }
    let trace: Option<String> = row.get()?;
    attempt.trace = trace.and_then(|trace| trace.parse().ok());
    attempt.verification_id = row.get::<Option<Uuid>>()?.map(VerificationId);
    Ok(attempt)
}

pub(crate) fn attempt(row: Model) -> WebhookAttempt {
    WebhookAttempt {
        id: WebhookAttemptId(row.id),
        endpoint_id: EndpointId(row.endpoint_id),
        account_id: AccountId(row.account_id),
        delivery_id: DeliveryId(row.delivery_id),
        verification_id: row.verification_id.map(VerificationId),
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
