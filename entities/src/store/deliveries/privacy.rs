//! Masking the phones of what is long over: `+8498***4567` where a number was.
//!
//! A batch is one short transaction over deliveries that lie together, so the hot path waits for it no longer
//! than for a commit of its own. What is masked is told from what is not by itself: a job that is cut off goes
//! on where it was, and two at once do no harm.

use nexo_domain::ids::DeliveryId;
use nexo_domain::phone::Phone;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::store::sql::bulk::Bulk;
use crate::store::sql::bulk::Column::{Text, Uuid as Id};
use crate::store::sql::id_time::{ID_AHEAD_MS, first_id};
use crate::store::sql::record;
use crate::store::{Store, StoreError};

static MASK_DELIVERIES: Bulk = Bulk::new(
    "UPDATE deliveries SET phone = v.column2",
    &[Id, Text],
    "WHERE deliveries.id = v.column1",
);

/// A receiver may have written the number back, and in another form: what is replaced are its digits, as
/// they are dialled from abroad and at home.
static MASK_WEBHOOKS: Bulk = Bulk::new(
    "UPDATE webhook_attempts SET \
     body = REPLACE(REPLACE(body, v.column2, v.column3), v.column4, v.column5), \
     response_head = REPLACE(REPLACE(response_head, v.column2, v.column3), v.column4, v.column5), \
     error = REPLACE(REPLACE(error, v.column2, v.column3), v.column4, v.column5)",
    &[Id, Text, Text, Text, Text],
    "WHERE webhook_attempts.delivery_id = v.column1",
);

/// What a batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masked {
    /// How many deliveries have lost their phone.
    pub deliveries: u64,
    /// What the next batch comes after; `None` where nothing old enough is left.
    pub next: Option<DeliveryId>,
}

impl Store {
    /// Masks the phones of up to `limit` deliveries that were accepted before `before_ms` and have ended,
    /// the oldest first, from after the delivery `after`; and wherever their webhooks tell them.
    ///
    /// # Errors
    /// What the database fails with; then nothing was masked.
    pub async fn mask_phones(
        &self,
        after: Option<DeliveryId>,
        before_ms: i64,
        limit: u32,
    ) -> Result<Masked, StoreError> {
        // Ids are in the order of time, about, so that what is too young is not looked at.
        let statement = self.sql(
            "SELECT id, phone FROM deliveries WHERE id > ? AND id < ? AND created_at_ms < ? \
             AND completed_at_ms IS NOT NULL AND phone NOT LIKE '%*%' ORDER BY id LIMIT ?",
            [
                after.map_or(Uuid::nil(), |id| id.0).into(),
                first_id(before_ms + ID_AHEAD_MS).into(),
                before_ms.into(),
                i64::from(limit).into(),
            ],
        );
        let found = self.reader.query_all_raw(statement).await?;
        let mut deliveries = MASK_DELIVERIES.rows(found.len());
        let mut webhooks = MASK_WEBHOOKS.rows(found.len());
        let mut last = None;
        for row in &found {
            let id: Uuid = row.try_get_by_index(0)?;
            let phone: String = row.try_get_by_index(1)?;
            let phone = record::phone("deliveries", &phone)?;
            deliveries.push([id.into(), phone.masked().into()]);
            let [abroad, home] = [phone.international(), phone.national()];
            webhooks.push([
                id.into(),
                abroad.into(),
                masked_digits(phone, "84").into(),
                home.into(),
                masked_digits(phone, "0").into(),
            ]);
            last = Some(DeliveryId(id));
        }
        let next = last.filter(|_| found.len() == limit as usize);
        if deliveries.is_empty() {
            return Ok(Masked {
                deliveries: 0,
                next,
            });
        }
        let transaction = self.begin().await?;
        self.hold_filters(&transaction).await?;
        let masked = MASK_DELIVERIES
            .execute(&transaction, &[], deliveries)
            .await?;
        MASK_WEBHOOKS.execute(&transaction, &[], webhooks).await?;
        if let Some(last) = last {
            self.empty_phone_filters(&transaction, last).await?;
        }
        self.end(transaction).await?;
        Ok(Masked {
            deliveries: masked,
            next,
        })
    }
}

/// `8498***4567` or `098***4567`.
fn masked_digits(phone: Phone, before: &str) -> String {
    phone.masked().replacen("+84", before, 1)
}
