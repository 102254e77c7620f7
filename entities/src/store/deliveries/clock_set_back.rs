//! Rewinds what is computed from past deliveries after the clock was set back.
//!
//! Daily statistics and filters follow the deliveries by the time in their ids and never look back. New deliveries that
//! repeat a time that was passed before would be missing in both.

use sea_orm::{ConnectionTrait, Value};

use super::daily_stats::{DAY_MS, MIN_AGE_MS, QUARTER_MS};
use crate::store::StoreError;
use crate::store::sql::id_time::{ID_CLOCK_SKEW_MS, MAX_WRITE_DELAY_MS, id_time_ms, min_id_at};
use crate::store::views::Deliveries;

impl Deliveries<'_> {
    /// Rewinds the statistics and filters that have passed `now_ms`, so that they are computed again from there. Returns
    /// whether there were any. The clocks of the nodes may differ by [`ID_CLOCK_SKEW_MS`].
    pub async fn rewind_to(self, now_ms: i64) -> Result<bool, StoreError> {
        let stats = self.rewind_stats(now_ms).await?;
        let filters = self.rewind_filters(now_ms).await?;
        Ok(stats || filters)
    }

    async fn rewind_stats(self, now_ms: i64) -> Result<bool, StoreError> {
        let settled_ms = now_ms - MIN_AGE_MS;
        let summed = self.summed_until().await?;
        if summed <= settled_ms + ID_CLOCK_SKEW_MS {
            return Ok(false);
        }
        // Statistics are sums of whole days, so a day is counted again from its start.
        let day = settled_ms.div_euclid(DAY_MS);
        let transaction = self.store.begin().await?;
        let rewound = self.store.sql(
            "UPDATE figures_until SET until_ms = ? WHERE id = 1 AND until_ms = ?",
            [(day * DAY_MS).into(), summed.into()],
        );
        if transaction.execute_raw(rewound).await?.rows_affected() == 0 {
            // Another node was faster.
            transaction.rollback().await?;
            return Ok(true);
        }
        for (sql, first) in [
            ("DELETE FROM quarter_figures WHERE quarter >= ?", day * DAY_MS / QUARTER_MS),
            ("DELETE FROM answer_times WHERE day >= ?", day),
        ] {
            let statement = self.store.sql(sql, [Value::from(first)]);
            transaction.execute_raw(statement).await?;
        }
        self.store.commit(transaction).await?;
        tracing::warn!("the clock was set back: the statistics are computed again");
        Ok(true)
    }

    async fn rewind_filters(self, now_ms: i64) -> Result<bool, StoreError> {
        let Some(until) = self.filters_until().await? else {
            return Ok(false);
        };
        let written_ms = now_ms - MAX_WRITE_DELAY_MS - ID_CLOCK_SKEW_MS;
        if id_time_ms(until) <= written_ms + ID_CLOCK_SKEW_MS {
            return Ok(false);
        }
        let transaction = self.store.begin().await?;
        self.lock_filters(&transaction).await?;
        let written = Value::from(min_id_at(written_ms));
        for (sql, values) in [
            (
                "UPDATE delivery_filters_until SET until_id = \
                 (SELECT until_id FROM delivery_filters WHERE until_id < ? \
                 ORDER BY until_id DESC LIMIT 1) WHERE id = 1",
                [written.clone()],
            ),
            ("DELETE FROM delivery_filters WHERE until_id >= ?", [written]),
        ] {
            let statement = self.store.sql(sql, values);
            transaction.execute_raw(statement).await?;
        }
        self.store.commit(transaction).await?;
        tracing::warn!("the clock was set back: the newest filters of deliveries are built again");
        Ok(true)
    }
}
