//! Masks the phones of old verifications, and deletes what test keys left, as it is done for deliveries.

use nexo_domain::ids::VerificationId;
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::deliveries::privacy::{BODY_COLUMNS, MASK_BODIES, masked_digits};
use crate::store::sql::bulk::Bulk;
use crate::store::sql::bulk::Column::{Text, Uuid as Id};
use crate::store::sql::id_time::{ID_CLOCK_SKEW_MS, min_id_at};
use crate::store::sql::record;
use crate::store::views::Verifications;

static MASK: Bulk = Bulk::new(
    "UPDATE verifications SET phone = v.column2, \
     reference = REPLACE(REPLACE(verifications.reference, v.column3, v.column4), v.column5, v.column6), \
     metadata = REPLACE(REPLACE(verifications.metadata, v.column3, v.column4), v.column5, v.column6)",
    &[Id, Text, Text, Text, Text, Text],
    "WHERE verifications.id = v.column1",
);

/// The event of an end that was recorded after the last call had been masked. Events before that were masked with it.
static MASK_EVENTS: Bulk =
    Bulk::new(MASK_BODIES, BODY_COLUMNS, "WHERE webhook_attempts.verification_id = v.column1");

/// The result of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskedVerifications {
    /// Number of masked verifications.
    pub verifications: u64,
    /// Where the next batch starts; `None` if nothing old enough is left.
    pub next: Option<VerificationId>,
}

impl Verifications<'_> {
    /// Masks the phones of up to `limit` closed verifications that started before `before_ms`, oldest first, beginning
    /// after the verification `after`.
    ///
    /// # Errors
    /// After an error nothing was masked.
    pub async fn mask_phones(
        self,
        after: Option<VerificationId>,
        before_ms: i64,
        limit: u32,
    ) -> Result<MaskedVerifications, StoreError> {
        // Ids are roughly in time order, so younger verifications are not read.
        let statement = self.store.sql(
            "SELECT id, phone FROM verifications WHERE id > ? AND id < ? AND created_at_ms < ? \
             AND status <> 'pending' AND phone NOT LIKE '%*%' ORDER BY id LIMIT ?",
            [
                after.map_or(Uuid::nil(), |id| id.0).into(),
                min_id_at(before_ms + ID_CLOCK_SKEW_MS).into(),
                before_ms.into(),
                i64::from(limit).into(),
            ],
        );
        let found = self.store.job_reader.query_all_raw(statement).await?;
        let mut rows = MASK.rows(found.len());
        let mut events = MASK_EVENTS.rows(found.len());
        let mut last = None;
        for row in &found {
            let (id, phone): (Uuid, String) = row.try_get_many_by_index()?;
            let phone = record::phone("verifications", &phone)?;
            let digits: [Value; 4] = [
                phone.international().into(),
                masked_digits(phone, "84").into(),
                phone.national().into(),
                masked_digits(phone, "0").into(),
            ];
            let [abroad, masked_abroad, home, masked_home] = digits.clone();
            let masked = phone.masked().into();
            rows.push([id.into(), masked, abroad, masked_abroad, home, masked_home]);
            let [abroad, masked_abroad, home, masked_home] = digits;
            events.push([id.into(), abroad, masked_abroad, home, masked_home]);
            last = Some(VerificationId(id));
        }
        let next = last.filter(|_| found.len() == limit as usize);
        if rows.is_empty() {
            return Ok(MaskedVerifications { verifications: 0, next });
        }
        let transaction = self.store.begin().await?;
        let masked = MASK.execute(&transaction, &[], rows).await?;
        MASK_EVENTS.execute(&transaction, &[], events).await?;
        self.store.commit(transaction).await?;
        Ok(MaskedVerifications { verifications: masked, next })
    }

    /// Deletes up to `limit` closed verifications of test keys that started before `before_ms`, oldest first. Returns
    /// their number.
    pub async fn delete_tests(self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        let delete = self.store.sql(
            "DELETE FROM verifications WHERE id IN (SELECT id FROM verifications WHERE test \
             AND created_at_ms < ? AND status <> 'pending' ORDER BY created_at_ms LIMIT ?)",
            [Value::from(before_ms), i64::from(limit).into()],
        );
        let deleted = self.store.write_connection()?.execute_raw(delete).await;
        Ok(self.store.check_write(deleted)?.rows_affected())
    }
}
