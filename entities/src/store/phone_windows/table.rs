//! Phone windows outside the hot path.

use nexo_domain::call::outcome::NO_ROUTE;
use nexo_domain::ids::DeliveryId;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::phone::window::{WINDOW_MS, window_until_ms};
use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};

use crate::store::sql::id_time::{ID_AHEAD_MS, first_id};
use crate::store::sql::record;
use crate::store::{Store, StoreError};

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
        self.open_windows_on(&self.reader, now_ms).await
    }

    /// The same as seen by `connection`.
    pub(in crate::store) async fn open_windows_on(
        &self,
        connection: &impl ConnectionTrait,
        now_ms: i64,
    ) -> Result<Vec<OpenWindow>, StoreError> {
        let is_sqlite = self.is_sqlite();
        let statement = match is_sqlite {
            true => self.by_deliveries(now_ms),
            false => self.by_table(now_ms),
        };
        let rows = connection.query_all_raw(statement).await?;
        let row = if is_sqlite { of_delivery } else { of_window };
        rows.iter().map(row).collect()
    }

    fn by_table(&self, now_ms: i64) -> Statement {
        self.sql(
            "SELECT w.realm, w.phone, w.until_ms, w.delivery_id, d.carrier \
             FROM phone_windows AS w JOIN deliveries AS d ON d.id = w.delivery_id \
             WHERE w.until_ms > ?",
            [Value::from(now_ms)],
        )
    }

    /// A delivery holds its phone's window unless no gateway took the call. Ids are in the order of
    /// time, so that only the end of the table is read.
    fn by_deliveries(&self, now_ms: i64) -> Statement {
        let since_ms = now_ms - WINDOW_MS;
        self.sql(
            "SELECT test, phone, created_at_ms, id, carrier FROM deliveries \
             WHERE id >= ? AND created_at_ms > ? \
             AND NOT (status = 'failed' AND error_code = ?) ORDER BY created_at_ms",
            [
                first_id(since_ms - ID_AHEAD_MS).into(),
                since_ms.into(),
                NO_ROUTE.into(),
            ],
        )
    }

    /// Drops the windows that were over at `before_ms`. Returns how many. On SQLite there are none to
    /// be dropped: they are in memory.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn drop_windows(&self, before_ms: i64) -> Result<u64, StoreError> {
        if self.is_sqlite() {
            return Ok(0);
        }
        let statement = self.sql(
            "DELETE FROM phone_windows WHERE until_ms <= ?",
            [Value::from(before_ms)],
        );
        let dropped = self.writing()?.execute_raw(statement).await;
        Ok(self.noted(dropped)?.rows_affected())
    }
}

fn of_window(row: &QueryResult) -> Result<OpenWindow, StoreError> {
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
}

fn of_delivery(row: &QueryResult) -> Result<OpenWindow, StoreError> {
    let phone: String = row.try_get_by_index(1)?;
    let carrier: String = row.try_get_by_index(4)?;
    Ok(OpenWindow {
        test: row.try_get_by_index(0)?,
        phone: record::phone("deliveries", &phone)?,
        until_ms: window_until_ms(row.try_get_by_index(2)?),
        delivery_id: DeliveryId(row.try_get_by_index(3)?),
        carrier: record::carrier("deliveries", &carrier)?,
    })
}
