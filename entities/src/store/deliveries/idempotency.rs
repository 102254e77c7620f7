//! The answers kept under idempotency keys, for those who ask; they are written by [`crate::store::ledger::posting`].

use nexo_domain::idempotency::{Fingerprint, IdempotentRequest, KEPT_MS};
use nexo_domain::ids::DeliveryId;
use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

use crate::store::{Store, StoreError};

/// What was answered, or is about to be, under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Of the request that the answer is for.
    pub fingerprint: Fingerprint,
    pub status: u16,
    pub body: String,
    /// The OTP that was paid under the key. A refusal has none.
    pub delivery_id: Option<DeliveryId>,
    /// False while the OTP is paid and no gateway has taken its call, so that the answer may yet be
    /// another one and the key free again. An OTP that has its final state had this answer, or its
    /// process died and nobody will call the phone under this key again.
    pub stands: bool,
}

impl Store {
    /// What is kept under the request's key at `now_ms`, whatever request it is for.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn kept_answer(
        &self,
        request: &IdempotentRequest,
        now_ms: i64,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        let statement = self.sql(
            "SELECT i.fingerprint, i.status_code, i.answer, i.delivery_id, i.answered, \
             d.id, d.completed_at_ms \
             FROM idempotency AS i LEFT JOIN deliveries AS d ON d.id = i.delivery_id \
             WHERE i.key_id = ? AND i.idempotency_key = ? AND i.created_at_ms > ?",
            [
                Value::from(request.key_id.0),
                request.key.as_str().into(),
                (now_ms - KEPT_MS).into(),
            ],
        );
        let row = self.reader.query_one_raw(statement).await?;
        row.as_ref().map(kept).transpose()
    }

    /// Drops at most `most` of the answers that are kept no longer at `now_ms`. Returns how many.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn drop_kept_answers(&self, now_ms: i64, most: u32) -> Result<u64, StoreError> {
        let statement = self.sql(
            "DELETE FROM idempotency WHERE (key_id, idempotency_key) IN ( \
             SELECT key_id, idempotency_key FROM idempotency \
             WHERE created_at_ms <= ? ORDER BY created_at_ms LIMIT ?)",
            [Value::from(now_ms - KEPT_MS), i64::from(most).into()],
        );
        Ok(self.writer.execute_raw(statement).await?.rows_affected())
    }
}

fn kept(row: &QueryResult) -> Result<KeptAnswer, StoreError> {
    let unreadable = |column| StoreError::Unreadable {
        table: "idempotency",
        column,
    };
    let fingerprint: Vec<u8> = row.try_get_by_index(0)?;
    let fingerprint = fingerprint
        .try_into()
        .map_err(|_| unreadable("fingerprint"))?;
    let status: i16 = row.try_get_by_index(1)?;
    let answered: bool = row.try_get_by_index(4)?;
    let delivery: Option<Uuid> = row.try_get_by_index(5)?;
    let completed_at_ms: Option<i64> = row.try_get_by_index(6)?;
    Ok(KeptAnswer {
        fingerprint: Fingerprint::from_record(fingerprint),
        status: u16::try_from(status).map_err(|_| unreadable("status_code"))?,
        body: row.try_get_by_index(2)?,
        delivery_id: row.try_get_by_index::<Option<Uuid>>(3)?.map(DeliveryId),
        stands: answered || delivery.is_none() || completed_at_ms.is_some(),
    })
}
