//! Queries on phone windows outside the hot path.

use nexo_domain::call::outcome::NO_ROUTE;
use nexo_domain::ids::DeliveryId;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::phone::window::{WINDOW_MS, window_until_ms};
use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::sql::id_time::{ID_CLOCK_SKEW_MS, min_id_at};
use crate::store::sql::record;
use crate::store::views::PhoneWindows;

/// How far two nodes' readings of the database clock may differ, and how much later than a delivery another one that
/// was accepted before it may be written. `CLAIM_WINDOWS` has the same number.
const MAX_CLOCK_DIFFERENCE_MS: i64 = 2_000;

/// A window that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldWindow {
    pub test: bool,
    pub phone: Phone,
    pub until_ms: i64,
    pub delivery_id: DeliveryId,
    /// The carrier of the call.
    pub carrier: Carrier,
}

impl PhoneWindows<'_> {
    /// Returns the windows open at `now_ms`, which a carrier actor needs after a restart. On SQLite the
    /// windows are those of the deliveries, so `now_ms` is the time of records. On PostgreSQL it is the
    /// time of the windows' clock, like [`Debit::window_from_ms`](crate::store::ledger::posting::Debit).
    ///
    /// A window that ends more than 30 s after `now_ms`, and a little, is over: the clock was set back since.
    pub async fn held_windows(self, now_ms: i64) -> Result<Vec<HeldWindow>, StoreError> {
        self.held_windows_on(&self.store.core_reader, now_ms).await
    }

    /// Like [`PhoneWindows::held_windows`], on a given connection.
    pub(crate) async fn held_windows_on(
        self,
        connection: &impl ConnectionTrait,
        now_ms: i64,
    ) -> Result<Vec<HeldWindow>, StoreError> {
        let is_sqlite = self.store.is_sqlite();
        let statement = match is_sqlite {
            true => self.by_deliveries(now_ms),
            false => self.by_table(now_ms),
        };
        let rows = connection.query_all_raw(statement).await?;
        let row = if is_sqlite { of_delivery } else { of_window };
        rows.iter().map(row).collect()
    }

    fn by_table(self, now_ms: i64) -> Statement {
        self.store.sql(
            "SELECT w.realm, w.phone, w.until_ms, w.delivery_id, d.carrier \
             FROM phone_windows AS w JOIN deliveries AS d ON d.id = w.delivery_id \
             WHERE w.until_ms > ? AND w.until_ms <= ?",
            [now_ms.into(), (now_ms + WINDOW_MS + MAX_CLOCK_DIFFERENCE_MS).into()],
        )
    }

    /// A delivery holds its phone's window unless no gateway accepted the call. Ids are in time
    /// order, so only the end of the table is read. A phone that was masked while the clock was ahead is unknown.
    fn by_deliveries(self, now_ms: i64) -> Statement {
        let since_ms = now_ms - WINDOW_MS;
        self.store.sql(
            "SELECT test, phone, created_at_ms, id, carrier FROM deliveries \
             WHERE id >= ? AND created_at_ms > ? AND created_at_ms <= ? \
             AND phone NOT LIKE '%*%' \
             AND NOT (status = 'failed' AND error_code = ?) ORDER BY created_at_ms",
            [
                min_id_at(since_ms - ID_CLOCK_SKEW_MS).into(),
                since_ms.into(),
                (now_ms + MAX_CLOCK_DIFFERENCE_MS).into(),
                NO_ROUTE.into(),
            ],
        )
    }

    /// Deletes the windows that ended by `before_ms` and returns their number. SQLite keeps windows
    /// in memory, so there it does nothing.
    pub async fn delete_ended(self, before_ms: i64) -> Result<u64, StoreError> {
        if self.store.is_sqlite() {
            return Ok(0);
        }
        let statement = self
            .store
            .sql("DELETE FROM phone_windows WHERE until_ms <= ?", [Value::from(before_ms)]);
        let dropped = self.store.write_connection()?.execute_raw(statement).await;
        Ok(self.store.check_write(dropped)?.rows_affected())
    }
}

fn of_window(row: &QueryResult) -> Result<HeldWindow, StoreError> {
    let (realm, phone, until_ms, delivery_id, carrier): (String, String, i64, Uuid, String) =
        row.try_get_many_by_index()?;
    Ok(HeldWindow {
        test: realm == record::realm(true),
        phone: record::phone("phone_windows", &phone)?,
        until_ms,
        delivery_id: DeliveryId(delivery_id),
        carrier: record::carrier("deliveries", &carrier)?,
    })
}

fn of_delivery(row: &QueryResult) -> Result<HeldWindow, StoreError> {
    let (test, phone, created_at_ms, delivery_id, carrier): (bool, String, i64, Uuid, String) =
        row.try_get_many_by_index()?;
    Ok(HeldWindow {
        test,
        phone: record::phone("deliveries", &phone)?,
        until_ms: window_until_ms(created_at_ms),
        delivery_id: DeliveryId(delivery_id),
        carrier: record::carrier("deliveries", &carrier)?,
    })
}
