//! Daily statistics of accounts.
//!
//! Ended deliveries are summed by quarters of an hour, so that a reader can add up the days of its time zone. This
//! happens outside the hot path, by their ids, which start with their time. A delivery that has not ended delays the
//! summing of later ones. For the last minutes, which are not summed yet, a reader counts the deliveries themselves.

use nexo_domain::ids::AccountId;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::time_zone::Zone;
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::sql::bulk::Bulk;
use crate::store::sql::bulk::Column::{Int, Text, Uuid as Id};
use crate::store::sql::id_time::{MAX_WRITE_DELAY_MS, id_time_ms, min_id_at};
use crate::store::sql::record;
use crate::store::sql::rows::{Columns, scalar};
use crate::store::views::Deliveries;

pub const DAY_MS: i64 = 86_400_000;
/// The time of which deliveries are summed together.
pub(super) const QUARTER_MS: i64 = 900_000;
/// The number of quarters of a day.
const QUARTERS_A_DAY: i64 = DAY_MS / QUARTER_MS;
/// The number of past days whose figures are kept.
const KEPT_DAYS: i64 = 40;
/// A younger delivery may not be written yet.
pub(super) const MIN_AGE_MS: i64 = 90_000;
/// The time span summed at once.
const SPAN_MS: i64 = DAY_MS;
/// If the statistics lag behind by more, a page does not count the rest itself.
const MAX_LAG_MS: i64 = 15 * 60_000;
/// Maximum number of recent calls whose answer times are read.
const MAX_ANSWERS: i64 = 500;

static ADD_QUARTERS: Bulk = Bulk::new(
    "INSERT INTO quarter_figures (account_id, quarter, carrier, delivered, failed) \
     SELECT v.column1, v.column2, v.column3, v.column4, v.column5",
    &[Id, Int, Text, Int, Int],
    "WHERE v.column1 IS NOT NULL ON CONFLICT (account_id, quarter, carrier) DO UPDATE SET \
     delivered = quarter_figures.delivered + excluded.delivered, \
     failed = quarter_figures.failed + excluded.failed",
);

static ADD_ANSWERS: Bulk = Bulk::new(
    "INSERT INTO answer_times (account_id, day, seconds, calls) \
     SELECT v.column1, v.column2, v.column3, v.column4",
    &[Id, Int, Int, Int],
    "WHERE v.column1 IS NOT NULL ON CONFLICT (account_id, day, seconds) DO UPDATE SET \
     calls = answer_times.calls + excluded.calls",
);

/// The statistics of one carrier on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyStats {
    /// The day in the reader's time zone: days since 1970-01-01.
    pub day: i64,
    pub carrier: Carrier,
    pub delivered: u64,
    pub failed: u64,
}

/// The statistics of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountStats {
    /// Ordered by day and carrier. Days without a delivery are absent.
    pub days: Vec<DailyStats>,
    /// Whole seconds from INVITE to answer, and the number of calls.
    pub answers: Vec<(u32, u64)>,
}

impl AccountStats {
    /// Returns the median of the answer times; `None` if no call was answered.
    pub fn median_answer_seconds(&self) -> Option<u32> {
        let all: u64 = self.answers.iter().map(|(_, calls)| calls).sum();
        let mut sorted = self.answers.clone();
        sorted.sort_unstable();
        let mut seen = 0;
        sorted.into_iter().find_map(|(seconds, calls)| {
            seen += calls;
            (seen * 2 >= all && all > 0).then_some(seconds)
        })
    }
}

const COUNT: &str = "\
    SELECT account_id, created_at_ms / 900000 AS quarter, carrier, \
    SUM(CASE WHEN status = 'delivered' THEN 1 ELSE 0 END) AS delivered, \
    SUM(CASE WHEN status = 'failed' THEN 1 ELSE 0 END) AS failed \
    FROM deliveries WHERE id >= ? AND id < ? AND NOT test AND status <> 'sent' \
    GROUP BY account_id, created_at_ms / 900000, carrier \
    ORDER BY account_id, quarter, carrier";

const COUNT_ANSWERS: &str = "\
    SELECT d.account_id, d.created_at_ms / 86400000 AS day, \
    (c.answered_at_ms - c.started_at_ms + 500) / 1000 AS seconds, COUNT(*) AS calls \
    FROM deliveries AS d JOIN call_attempts AS c ON c.delivery_id = d.id \
    WHERE d.id >= ? AND d.id < ? AND NOT d.test AND d.status <> 'sent' \
    AND c.answered_at_ms IS NOT NULL \
    GROUP BY d.account_id, d.created_at_ms / 86400000, \
    (c.answered_at_ms - c.started_at_ms + 500) / 1000 \
    ORDER BY d.account_id, day, seconds";

impl Deliveries<'_> {
    /// Adds the deliveries that ended since the last run, up to one span. Returns whether more can
    /// be added at once.
    ///
    /// Several nodes may run it: each span is counted once.
    pub async fn update_daily_stats(self, now_ms: i64) -> Result<bool, StoreError> {
        let summed = self.summed_until().await?;
        let settled = self.settled_until(now_ms).await?;
        let Some(from) = self.first_delivery_since(summed).await? else {
            return Ok(false);
        };
        let until = Ord::min(settled, from + SPAN_MS);
        if until <= summed {
            return Ok(false);
        }
        let range = [Value::from(min_id_at(from)), Value::from(min_id_at(until))];
        let quarters =
            self.store.job_reader.query_all_raw(self.store.sql(COUNT, range.clone())).await?;
        let answers =
            self.store.job_reader.query_all_raw(self.store.sql(COUNT_ANSWERS, range)).await?;
        let mut quarter_rows = ADD_QUARTERS.rows(quarters.len());
        for row in &quarters {
            let mut row = Columns::of(row);
            quarter_rows.push([
                row.get::<Uuid>()?.into(),
                row.get::<i64>()?.into(),
                row.get::<String>()?.into(),
                row.get::<i64>()?.into(),
                row.get::<i64>()?.into(),
            ]);
        }
        let mut answer_rows = ADD_ANSWERS.rows(answers.len());
        for row in &answers {
            let mut row = Columns::of(row);
            answer_rows.push([
                row.get::<Uuid>()?.into(),
                row.get::<i64>()?.into(),
                row.get::<i64>()?.into(),
                row.get::<i64>()?.into(),
            ]);
        }
        let transaction = self.store.begin().await?;
        let moved = self.store.sql(
            "UPDATE figures_until SET until_ms = ? WHERE id = 1 AND until_ms = ?",
            [until.into(), summed.into()],
        );
        if transaction.execute_raw(moved).await?.rows_affected() == 0 {
            // Another node added the same span.
            transaction.rollback().await?;
            return Ok(true);
        }
        if !quarter_rows.is_empty() {
            ADD_QUARTERS.execute(&transaction, &[], quarter_rows).await?;
        }
        if !answer_rows.is_empty() {
            ADD_ANSWERS.execute(&transaction, &[], answer_rows).await?;
        }
        let old = self.store.sql(
            "DELETE FROM quarter_figures WHERE quarter < ?",
            [(until / QUARTER_MS - KEPT_DAYS * QUARTERS_A_DAY).into()],
        );
        transaction.execute_raw(old).await?;
        self.store.commit(transaction).await?;
        Ok(until < settled)
    }

    /// Returns the account's statistics from `first_day` up to now, by the days of a time zone. At most the last
    /// 30 days are complete. The answer times are those since the UTC day in which `first_day` begins.
    pub async fn account_stats(
        self,
        account: AccountId,
        zone: Zone,
        first_day: i64,
        now_ms: i64,
    ) -> Result<AccountStats, StoreError> {
        let mut stats = AccountStats::default();
        let since_ms = zone.day_start_ms(first_day);
        let periods = zone.offsets(since_ms, now_ms);
        let ends = periods.iter().skip(1).map(|(start_ms, _)| *start_ms).chain([i64::MAX]);
        for ((start_ms, offset_seconds), end_ms) in periods.iter().zip(ends) {
            self.add_summed(account, (*start_ms, end_ms), *offset_seconds, &mut stats).await?;
        }
        let of_account = [Value::from(account.0), Value::from(since_ms.div_euclid(DAY_MS))];
        let statement = self.store.sql(
            "SELECT seconds, CAST(SUM(calls) AS bigint) FROM answer_times \
             WHERE account_id = ? AND day >= ? GROUP BY seconds ORDER BY seconds",
            of_account,
        );
        for row in self.store.reader.query_all_raw(statement).await? {
            let (seconds, calls): (i64, i64) = row.try_get_many_by_index()?;
            stats.answers.push((seconds.max(0) as u32, calls.unsigned_abs()));
        }
        let until = self.summed_until().await?;
        let rest = self.first_delivery_since(until).await?;
        if rest.is_some_and(|first| now_ms - first <= MAX_LAG_MS) {
            self.count_rest(account, until, (zone, first_day), &mut stats).await?;
        }
        Ok(stats)
    }

    /// Adds what is summed of the times in which a zone has one offset.
    async fn add_summed(
        self,
        account: AccountId,
        (start_ms, end_ms): (i64, i64),
        offset_seconds: i32,
        stats: &mut AccountStats,
    ) -> Result<(), StoreError> {
        let offset = i64::from(offset_seconds) * 1_000 / QUARTER_MS;
        let statement = self.store.sql(
            "SELECT (quarter + ?) / ? AS day, carrier, CAST(SUM(delivered) AS bigint), \
             CAST(SUM(failed) AS bigint) FROM quarter_figures \
             WHERE account_id = ? AND quarter >= ? AND quarter < ? \
             GROUP BY 1, 2 ORDER BY 1, 2",
            [
                offset.into(),
                QUARTERS_A_DAY.into(),
                account.0.into(),
                start_ms.div_euclid(QUARTER_MS).into(),
                end_ms.div_euclid(QUARTER_MS).into(),
            ],
        );
        for row in self.store.reader.query_all_raw(statement).await? {
            let (day, carrier, delivered, failed): (i64, String, i64, i64) =
                row.try_get_many_by_index()?;
            add_day(
                &mut stats.days,
                DailyStats {
                    day,
                    carrier: record::carrier("quarter_figures", &carrier)?,
                    delivered: delivered.unsigned_abs(),
                    failed: failed.unsigned_abs(),
                },
            );
        }
        Ok(())
    }

    /// Counts the account's deliveries that are not summed yet.
    async fn count_rest(
        self,
        account: AccountId,
        until: i64,
        (zone, first_day): (Zone, i64),
        stats: &mut AccountStats,
    ) -> Result<(), StoreError> {
        let since = [Value::from(account.0), Value::from(until), Value::from(min_id_at(until))];
        // With the condition of the partial index of ended deliveries, which covers this query.
        for status in ["delivered", "failed"] {
            let statement = self.store.sql(
                &format!(
                    "SELECT created_at_ms / 900000 AS quarter, carrier, COUNT(*) FROM deliveries \
                     WHERE account_id = ? AND status = '{status}' AND status <> 'sent' \
                     AND created_at_ms >= ? AND id >= ? AND NOT test \
                     GROUP BY created_at_ms / 900000, carrier"
                ),
                since.clone(),
            );
            for row in self.store.reader.query_all_raw(statement).await? {
                let (quarter, carrier, count): (i64, String, i64) = row.try_get_many_by_index()?;
                let day = zone.day_of(quarter * QUARTER_MS);
                let count = count.unsigned_abs();
                let is_delivered = status == "delivered";
                let day_stats = DailyStats {
                    day,
                    carrier: record::carrier("deliveries", &carrier)?,
                    delivered: if is_delivered { count } else { 0 },
                    failed: if is_delivered { 0 } else { count },
                };
                if day >= first_day {
                    add_day(&mut stats.days, day_stats);
                }
            }
        }
        let statement = self.store.sql(
            "SELECT (c.answered_at_ms - c.started_at_ms + 500) / 1000 FROM ( \
             SELECT id FROM deliveries WHERE account_id = ? AND created_at_ms >= ? AND id >= ? \
             AND NOT test ORDER BY created_at_ms DESC, id LIMIT ?) AS d \
             JOIN call_attempts AS c ON c.delivery_id = d.id WHERE c.answered_at_ms IS NOT NULL",
            since.into_iter().chain([MAX_ANSWERS.into()]),
        );
        for row in self.store.reader.query_all_raw(statement).await? {
            let seconds: i64 = row.try_get_by_index(0)?;
            stats.answers.push((seconds.max(0) as u32, 1));
        }
        Ok(())
    }

    pub(super) async fn summed_until(self) -> Result<i64, StoreError> {
        let statement = self.store.sql("SELECT until_ms FROM figures_until WHERE id = 1", []);
        let until = scalar(&self.store.reader, statement).await?;
        Ok(until.unwrap_or(0))
    }

    /// Returns the time before which all deliveries have ended and are written.
    async fn settled_until(self, now_ms: i64) -> Result<i64, StoreError> {
        let statement =
            self.store.sql("SELECT MIN(created_at_ms) FROM deliveries WHERE status = 'sent'", []);
        let oldest: Option<Option<i64>> = scalar(&self.store.job_reader, statement).await?;
        let oldest = oldest.flatten();
        let newest_settled = now_ms - MIN_AGE_MS;
        Ok(oldest
            .map_or(newest_settled, |oldest| Ord::min(newest_settled, oldest - MAX_WRITE_DELAY_MS)))
    }

    /// Returns when the first delivery at or after `since_ms` was created, by its id.
    async fn first_delivery_since(self, since_ms: i64) -> Result<Option<i64>, StoreError> {
        let statement = self.store.sql(
            "SELECT id FROM deliveries WHERE id >= ? ORDER BY id LIMIT 1",
            [min_id_at(since_ms).into()],
        );
        let id: Option<Uuid> = scalar(&self.store.reader, statement).await?;
        Ok(id.map(|id| id_time_ms(id).max(since_ms)))
    }
}

fn add_day(days: &mut Vec<DailyStats>, day: DailyStats) {
    let same = |known: &&mut DailyStats| known.day == day.day && known.carrier == day.carrier;
    match days.iter_mut().find(same) {
        Some(known) => {
            known.delivered += day.delivered;
            known.failed += day.failed;
        }
        None => days.push(day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_answer_time_of_half_the_calls() {
        let median = |answers: &[(u32, u64)]| {
            let stats = AccountStats { answers: answers.to_vec(), ..AccountStats::default() };
            stats.median_answer_seconds()
        };
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[(7, 1)]), Some(7));
        assert_eq!(median(&[(9, 1), (4, 2), (4, 1), (20, 3)]), Some(9));
        assert_eq!(median(&[(4, 1), (9, 1), (20, 3)]), Some(20));
    }
}
