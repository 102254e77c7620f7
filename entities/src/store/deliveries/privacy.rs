//! Masks the phones of old deliveries: `+8498***4567`.
//!
//! A batch is one short transaction over adjacent deliveries, so the hot path waits no longer than
//! for one of its own commits. Masked phones are recognisable, so an interrupted job resumes where
//! it stopped, and concurrent jobs do no harm.

use nexo_domain::ids::DeliveryId;
use nexo_domain::phone::Phone;
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::sql::bulk::Column::{Text, Uuid as Id};
use crate::store::sql::bulk::{Bulk, Column};
use crate::store::sql::id_time::{ID_CLOCK_SKEW_MS, min_id_at};
use crate::store::sql::record;
use crate::store::views::Deliveries;

/// The customer may have put the number into its own fields, and a receiver may have echoed it, in another format. So
/// the digits are replaced in international and national form.
static MASK_DELIVERIES: Bulk = Bulk::new(
    "UPDATE deliveries SET phone = v.column2, \
     reference = REPLACE(REPLACE(reference, v.column3, v.column4), v.column5, v.column6), \
     metadata = REPLACE(REPLACE(metadata, v.column3, v.column4), v.column5, v.column6)",
    &[Id, Text, Text, Text, Text, Text],
    "WHERE deliveries.id = v.column1",
);

static MASK_WEBHOOKS: Bulk =
    Bulk::new(MASK_BODIES, BODY_COLUMNS, "WHERE webhook_attempts.delivery_id = v.column1");

/// Replaces digits in webhook attempts: in columns 2 and 4 the digits, in columns 3 and 5 what replaces them.
pub(crate) const MASK_BODIES: &str = "UPDATE webhook_attempts SET \
     body = REPLACE(REPLACE(body, v.column2, v.column3), v.column4, v.column5), \
     response_head = REPLACE(REPLACE(response_head, v.column2, v.column3), v.column4, v.column5), \
     error = REPLACE(REPLACE(error, v.column2, v.column3), v.column4, v.column5)";
pub(crate) const BODY_COLUMNS: &[Column] = &[Id, Text, Text, Text, Text];

/// The result of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masked {
    /// Number of masked deliveries.
    pub deliveries: u64,
    /// Where the next batch starts; `None` if nothing old enough is left.
    pub next: Option<DeliveryId>,
}

impl Deliveries<'_> {
    /// Masks the phones of up to `limit` ended deliveries accepted before `before_ms`, oldest
    /// first, starting after the delivery `after`, and in their webhooks.
    ///
    /// # Errors
    /// After an error nothing was masked.
    pub async fn mask_phones(
        self,
        after: Option<DeliveryId>,
        before_ms: i64,
        limit: u32,
    ) -> Result<Masked, StoreError> {
        // Ids are roughly in time order, so younger deliveries are not read.
        let statement = self.store.sql(
            "SELECT id, phone FROM deliveries WHERE id > ? AND id < ? AND created_at_ms < ? \
             AND completed_at_ms IS NOT NULL AND phone NOT LIKE '%*%' ORDER BY id LIMIT ?",
            [
                after.map_or(Uuid::nil(), |id| id.0).into(),
                min_id_at(before_ms + ID_CLOCK_SKEW_MS).into(),
                before_ms.into(),
                i64::from(limit).into(),
            ],
        );
        let found = self.store.job_reader.query_all_raw(statement).await?;
        let mut deliveries = MASK_DELIVERIES.rows(found.len());
        let mut webhooks = MASK_WEBHOOKS.rows(found.len());
        let mut last = None;
        for row in &found {
            let (id, phone): (Uuid, String) = row.try_get_many_by_index()?;
            let phone = record::phone("deliveries", &phone)?;
            let digits: [Value; 4] = [
                phone.international().into(),
                masked_digits(phone, "84").into(),
                phone.national().into(),
                masked_digits(phone, "0").into(),
            ];
            let [abroad, masked_abroad, home, masked_home] = digits.clone();
            let masked = phone.masked().into();
            deliveries.push([id.into(), masked, abroad, masked_abroad, home, masked_home]);
            let [abroad, masked_abroad, home, masked_home] = digits;
            webhooks.push([id.into(), abroad, masked_abroad, home, masked_home]);
            last = Some(DeliveryId(id));
        }
        let next = last.filter(|_| found.len() == limit as usize);
        if deliveries.is_empty() {
            return Ok(Masked { deliveries: 0, next });
        }
        let transaction = self.store.begin().await?;
        self.lock_filters(&transaction).await?;
        let masked = MASK_DELIVERIES.execute(&transaction, &[], deliveries).await?;
        MASK_WEBHOOKS.execute(&transaction, &[], webhooks).await?;
        if let Some(last) = last {
            self.empty_phone_filters(&transaction, last).await?;
        }
        self.store.commit(transaction).await?;
        Ok(Masked { deliveries: masked, next })
    }
}

/// Returns `8498***4567` or `098***4567`.
pub(crate) fn masked_digits(phone: Phone, before: &str) -> String {
    phone.masked().replacen("+84", before, 1)
}
