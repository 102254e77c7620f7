//! Reads and expires the answers stored under idempotency keys. They are written by
//! [`crate::store::ledger::posting`].

use nexo_domain::idempotency::{Fingerprint, IdempotentRequest, RETENTION_MS};
use nexo_domain::ids::DeliveryId;
use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::sql::rows::Columns;
use crate::store::views::Deliveries;

/// The answer stored under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentAnswer {
    /// Of the request that was answered.
    pub fingerprint: Fingerprint,
    pub status: u16,
    pub body: String,
    /// The OTP paid under the key. A refusal has none.
    pub delivery_id: Option<DeliveryId>,
    /// False while the OTP is paid but no gateway accepted its call: the answer may still change
    /// and the key be freed. If the delivery has ended, this is its answer; if its process died,
    /// the phone is not called again under this key.
    pub is_final: bool,
}

impl Deliveries<'_> {
    /// Returns the answer stored under the request's key at `now_ms`, whatever request it belongs
    /// to.
    pub async fn idempotent_answer(
        self,
        request: &IdempotentRequest,
        now_ms: i64,
    ) -> Result<Option<IdempotentAnswer>, StoreError> {
        let statement = self.store.sql(
            "SELECT i.fingerprint, i.status_code, i.answer, i.delivery_id, i.answered, \
             d.id, d.completed_at_ms \
             FROM idempotency AS i LEFT JOIN deliveries AS d ON d.id = i.delivery_id \
             WHERE i.key_id = ? AND i.idempotency_key = ? AND i.created_at_ms > ?",
            [
                Value::from(request.key_id.0),
                request.key.as_str().into(),
                (now_ms - RETENTION_MS).into(),
            ],
        );
        let row = self.store.core_reader.query_one_raw(statement).await?;
        row.as_ref().map(answer).transpose()
    }

    /// Deletes at most `most` answers that have expired at `now_ms` and returns their number.
    pub async fn delete_expired_answers(self, now_ms: i64, most: u32) -> Result<u64, StoreError> {
        let statement = self.store.sql(
            "DELETE FROM idempotency WHERE (key_id, idempotency_key) IN ( \
             SELECT key_id, idempotency_key FROM idempotency \
             WHERE created_at_ms <= ? ORDER BY created_at_ms LIMIT ?)",
            [Value::from(now_ms - RETENTION_MS), i64::from(most).into()],
        );
        let deleted = self.store.write_connection()?.execute_raw(statement).await;
        Ok(self.store.check_write(deleted)?.rows_affected())
    }
}

fn answer(row: &QueryResult) -> Result<IdempotentAnswer, StoreError> {
    let unreadable = |column| StoreError::unreadable("idempotency", column);
    let mut row = Columns::of(row);
    let fingerprint: Vec<u8> = row.get()?;
    let fingerprint = fingerprint.try_into().map_err(|_| unreadable("fingerprint"))?;
    let status: i16 = row.get()?;
    let body = row.get()?;
    let delivery_id: Option<Uuid> = row.get()?;
    let is_answered: bool = row.get()?;
    let delivery: Option<Uuid> = row.get()?;
    let completed_at_ms: Option<i64> = row.get()?;
    Ok(IdempotentAnswer {
        fingerprint: Fingerprint::from_record(fingerprint),
        status: u16::try_from(status).map_err(|_| unreadable("status_code"))?,
        body,
        delivery_id: delivery_id.map(DeliveryId),
        is_final: is_answered || delivery.is_none() || completed_at_ms.is_some(),
    })
}
