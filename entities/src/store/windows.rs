//! Phone windows outside the hot path.

use nexo_domain::carrier_plan::Carrier;
use nexo_domain::ids::DeliveryId;
use nexo_domain::phone::Phone;
use sea_orm::{ConnectionTrait, Value};

use super::{Store, StoreError, record};

/// A window that is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenWindow {
    pub test: bool,
    pub phone: Phone,
    pub until_ms: i64,
    pub delivery_id: DeliveryId,
    /// The carrier that the phone was called through.
    pub carrier: Carrier,
}

impl Store {
    /// The windows open at `now_ms`: what a carrier's actor must remember after a restart.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn open_windows(&self, now_ms: i64) -> Result<Vec<OpenWindow>, StoreError> {
        let statement = self.sql(
            "SELECT w.realm, w.phone, w.until_ms, w.delivery_id, d.carrier \
             FROM phone_windows AS w JOIN deliveries AS d ON d.id = w.delivery_id \
             WHERE w.until_ms > ?",
            [Value::from(now_ms)],
        );
        let rows = self.reader.query_all_raw(statement).await?;
        rows.iter()
            .map(|row| {
                let realm: String = row.try_get_by_index(0)?;
                let phone: String = row.try_get_by_index(1)?;
                let carrier: String = row.try_get_by_index(4)?;
                Ok(OpenWindow {
                    test: realm == record::realm(true),
                    phone: record::phone("phone_windows", &phone)?,
                    until_ms: row.try_get_by_index(2)?,
                    delivery_id: DeliveryId(row.try_get_by_index(3)?),
                    carrier: record::carrier("deliveries", &carrier)?,
                })
            })
            .collect()
    }

    /// Drops the windows that were over at `before_ms`. Returns how many.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn drop_windows(&self, before_ms: i64) -> Result<u64, StoreError> {
        let statement = self.sql(
            "DELETE FROM phone_windows WHERE until_ms <= ?",
            [Value::from(before_ms)],
        );
        Ok(self.writer.execute_raw(statement).await?.rows_affected())
    }
}
