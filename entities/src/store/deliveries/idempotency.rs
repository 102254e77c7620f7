//! Reads and expires the answers stored under idempotency keys. They are written by
//! [`crate::store::ledger::posting`].

use nexo_domain::idempotency::{Fingerprint, IdempotentRequest, Lifetime, RETENTION_MS};
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
    /// Whether the OTP holds its phone's window, as the table of windows says. Always false on
    /// SQLite, where the process that serves the file knows it.
    pub holds_window: bool,
}

/// An answer and the state of its delivery. `$holds_window`: whether the delivery holds its phone's window.
macro_rules! select {
    ($holds_window:literal) => {
        concat!(
            "SELECT i.fingerprint, i.status_code, i.answer, i.delivery_id, i.answered, \
             d.id, d.completed_at_ms, ",
            $holds_window,
            " FROM idempotency AS i LEFT JOIN deliveries AS d ON d.id = i.delivery_id "
        )
    };
}

impl Deliveries<'_> {
    /// Returns the answer stored under the request's key at `now_ms`, whatever request it belongs
    /// to.
    ///
    /// One that lives as long as its phone's window counts only while its OTP
    /// [holds the window](IdempotentAnswer::holds_window); `window_now_ms` is the time of the
    /// windows' clock.
    pub async fn idempotent_answer(
        self,
        request: &IdempotentRequest,
        now_ms: i64,
        window_now_ms: i64,
    ) -> Result<Option<IdempotentAnswer>, StoreError> {
        let key = [Value::from(request.key_id.0), request.key.as_str().into()];
        let reads_windows = request.lifetime == Lifetime::PhoneWindow && !self.store.is_sqlite();
        let statement = match reads_windows {
            true => self.store.sql(
                concat!(
                    select!("w.delivery_id IS NOT NULL"),
                    "LEFT JOIN phone_windows AS w ON w.phone = d.phone AND w.delivery_id = d.id \
                     AND w.realm = CASE WHEN d.test THEN 'test' ELSE 'live' END \
                     AND w.until_ms > ? \
                     WHERE i.key_id = ? AND i.idempotency_key = ?"
                ),
                [Value::from(window_now_ms)].into_iter().chain(key),
            ),
            false => self.store.sql(
                concat!(
                    select!("FALSE"),
                    "WHERE i.key_id = ? AND i.idempotency_key = ? AND i.created_at_ms > ?"
                ),
                key.into_iter().chain([(now_ms - RETENTION_MS).into()]),
            ),
        };
        let row = self.store.core_reader.query_one_raw(statement).await?;
        row.as_ref().map(answer).transpose()
    }

    /// Deletes at most `most` answers that have expired at `now_ms` and returns their number.
    pub async fn delete_expired_answers(self, now_ms: i64, most: u32) -> Result<u64, StoreError> {
        let statement = "DELETE FROM idempotency WHERE (key_id, idempotency_key) IN ( \
             SELECT key_id, idempotency_key FROM idempotency \
             WHERE created_at_ms <= ? ORDER BY created_at_ms LIMIT ?)";
        self.delete_answers(statement, now_ms - RETENTION_MS, most).await
    }

    /// Deletes at most `most` answers whose phone windows have ended at `now_ms`, by the windows'
    /// clock, and returns their number.
    pub async fn delete_answers_of_ended_windows(
        self,
        now_ms: i64,
        most: u32,
    ) -> Result<u64, StoreError> {
        let statement = "DELETE FROM idempotency WHERE (key_id, idempotency_key) IN ( \
             SELECT key_id, idempotency_key FROM idempotency \
             WHERE window_until_ms <= ? ORDER BY window_until_ms LIMIT ?)";
        self.delete_answers(statement, now_ms, most).await
    }

    async fn delete_answers(
        self,
        statement: &str,
        until_ms: i64,
        most: u32,
    ) -> Result<u64, StoreError> {
        let statement = self.store.sql(statement, [until_ms.into(), i64::from(most).into()]);
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
        holds_window: row.get()?,
    })
}
