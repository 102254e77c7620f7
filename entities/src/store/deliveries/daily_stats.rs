//! What an account's days came to.
//!
//! Deliveries are added up beside the hot path, by their ids, which begin with their time. What is added up
//! has ended; what still rings holds the rest up. Of the last minutes, which are not added up yet, a reader
//! counts the deliveries themselves.

use nexo_domain::ids::AccountId;
use nexo_domain::phone::carrier_plan::Carrier;
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::store::sql::bulk::Bulk;
use crate::store::sql::bulk::Column::{Int, Text, Uuid as Id};
use crate::store::sql::id_time::{WRITTEN_WITHIN_MS, first_id, time_of};
use crate::store::sql::record;
use crate::store::{Store, StoreError};

pub const DAY_MS: i64 = 86_400_000;
/// A delivery that is younger may not be written yet.
const SETTLES_WITHIN_MS: i64 = 90_000;
/// So much is added up at once.
const STRETCH_MS: i64 = DAY_MS;
/// Where the figures lag behind by more, a page does not count the rest itself.
const MOST_COUNTED_MS: i64 = 15 * 60_000;
/// Of the last minutes, the answer times of so many calls are looked at.
const MOST_ANSWERS: i64 = 500;

static ADD_DAYS: Bulk = Bulk::new(
    "INSERT INTO daily_figures (account_id, day, carrier, delivered, failed) \
     SELECT v.column1, v.column2, v.column3, v.column4, v.column5",
    &[Id, Int, Text, Int, Int],
    "WHERE v.column1 IS NOT NULL ON CONFLICT (account_id, day, carrier) DO UPDATE SET \
     delivered = daily_figures.delivered + excluded.delivered, \
     failed = daily_figures.failed + excluded.failed",
);

static ADD_ANSWERS: Bulk = Bulk::new(
    "INSERT INTO answer_times (account_id, day, seconds, calls) \
     SELECT v.column1, v.column2, v.column3, v.column4",
    &[Id, Int, Int, Int],
    "WHERE v.column1 IS NOT NULL ON CONFLICT (account_id, day, seconds) DO UPDATE SET \
     calls = answer_times.calls + excluded.calls",
);

/// One day of one carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayFigures {
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    pub carrier: Carrier,
    pub delivered: u64,
    pub failed: u64,
}

/// An account's last days.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// By day, then carrier. Days without a delivery are not there.
    pub days: Vec<DayFigures>,
    /// From the INVITE to the answer: whole seconds, and how many calls took them.
    pub answers: Vec<(u32, u64)>,
}

impl Figures {
    /// The seconds that half of the answered calls took at most; `None` where none was answered.
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
    SELECT account_id, created_at_ms / 86400000 AS day, carrier, \
    SUM(CASE WHEN status = 'delivered' THEN 1 ELSE 0 END) AS delivered, \
    SUM(CASE WHEN status = 'failed' THEN 1 ELSE 0 END) AS failed \
    FROM deliveries WHERE id >= ? AND id < ? AND NOT test AND status <> 'sent' \
    GROUP BY account_id, created_at_ms / 86400000, carrier \
    ORDER BY account_id, day, carrier";

const COUNT_ANSWERS: &str = "\
    SELECT d.account_id, d.created_at_ms / 86400000 AS day, \
    (c.answered_at_ms - c.started_at_ms + 500) / 1000 AS seconds, COUNT(*) AS calls \
    FROM deliveries AS d JOIN call_attempts AS c ON c.delivery_id = d.id \
    WHERE d.id >= ? AND d.id < ? AND NOT d.test AND d.status <> 'sent' \
    AND c.answered_at_ms IS NOT NULL \
    GROUP BY d.account_id, d.created_at_ms / 86400000, \
    (c.answered_at_ms - c.started_at_ms + 500) / 1000 \
    ORDER BY d.account_id, day, seconds";

impl Store {
    /// Adds up what has ended since the last time, a stretch of it. Whether there is more to do at once.
    ///
    /// Several nodes may do so: each stretch counts once.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn add_up_figures(&self, now_ms: i64) -> Result<bool, StoreError> {
        let kept = self.figures_until().await?;
        let settled = self.settled_until(now_ms).await?;
        let Some(from) = self.first_delivery_since(kept).await? else {
            return Ok(false);
        };
        let until = Ord::min(settled, from + STRETCH_MS);
        if until <= kept {
            return Ok(false);
        }
        let range = [Value::from(first_id(from)), Value::from(first_id(until))];
        let days = self
            .reader
            .query_all_raw(self.sql(COUNT, range.clone()))
            .await?;
        let answers = self
            .reader
            .query_all_raw(self.sql(COUNT_ANSWERS, range))
            .await?;
        let mut day_rows = ADD_DAYS.rows(days.len());
        for row in &days {
            day_rows.push([
                row.try_get_by_index::<Uuid>(0)?.into(),
                row.try_get_by_index::<i64>(1)?.into(),
                row.try_get_by_index::<String>(2)?.into(),
                row.try_get_by_index::<i64>(3)?.into(),
                row.try_get_by_index::<i64>(4)?.into(),
            ]);
        }
        let mut answer_rows = ADD_ANSWERS.rows(answers.len());
        for row in &answers {
            answer_rows.push([
                row.try_get_by_index::<Uuid>(0)?.into(),
                row.try_get_by_index::<i64>(1)?.into(),
                row.try_get_by_index::<i64>(2)?.into(),
                row.try_get_by_index::<i64>(3)?.into(),
            ]);
        }
        let transaction = self.begin().await?;
        let moved = self.sql(
            "UPDATE figures_until SET until_ms = ? WHERE id = 1 AND until_ms = ?",
            [until.into(), kept.into()],
        );
        if transaction.execute_raw(moved).await?.rows_affected() == 0 {
            // Another node has added the same up.
            transaction.rollback().await?;
            return Ok(true);
        }
        if !day_rows.is_empty() {
            ADD_DAYS.execute(&transaction, &[], day_rows).await?;
        }
        if !answer_rows.is_empty() {
            ADD_ANSWERS.execute(&transaction, &[], answer_rows).await?;
        }
        self.end(transaction).await?;
        Ok(until < settled)
    }

    /// The account's days from `first_day` on, up to now.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn account_figures(
        &self,
        account: AccountId,
        first_day: i64,
        now_ms: i64,
    ) -> Result<Figures, StoreError> {
        let of_account = [Value::from(account.0), Value::from(first_day)];
        let statement = self.sql(
            "SELECT day, carrier, delivered, failed FROM daily_figures \
             WHERE account_id = ? AND day >= ? ORDER BY day, carrier",
            of_account.clone(),
        );
        let mut figures = Figures::default();
        for row in self.reader.query_all_raw(statement).await? {
            add_day(
                &mut figures.days,
                DayFigures {
                    day: row.try_get_by_index(0)?,
                    carrier: record::carrier("daily_figures", &row.try_get_by_index::<String>(1)?)?,
                    delivered: row.try_get_by_index::<i64>(2)?.unsigned_abs(),
                    failed: row.try_get_by_index::<i64>(3)?.unsigned_abs(),
                },
            );
        }
        let statement = self.sql(
            "SELECT seconds, CAST(SUM(calls) AS bigint) FROM answer_times \
             WHERE account_id = ? AND day >= ? GROUP BY seconds ORDER BY seconds",
            of_account,
        );
        for row in self.reader.query_all_raw(statement).await? {
            let seconds: i64 = row.try_get_by_index(0)?;
            let calls: i64 = row.try_get_by_index(1)?;
            figures
                .answers
                .push((seconds.max(0) as u32, calls.unsigned_abs()));
        }
        let until = self.figures_until().await?;
        let rest = self.first_delivery_since(until).await?;
        if rest.is_some_and(|first| now_ms - first <= MOST_COUNTED_MS) {
            self.count_rest(account, until, first_day, &mut figures)
                .await?;
        }
        Ok(figures)
    }

    /// Counts the account's deliveries that are not added up yet.
    async fn count_rest(
        &self,
        account: AccountId,
        until: i64,
        first_day: i64,
        figures: &mut Figures,
    ) -> Result<(), StoreError> {
        let since = [
            Value::from(account.0),
            Value::from(until),
            Value::from(first_id(until)),
        ];
        // With the words of the index of what has ended: it holds all that is asked for.
        for status in ["delivered", "failed"] {
            let statement = self.sql(
                &format!(
                    "SELECT created_at_ms / 86400000 AS day, carrier, COUNT(*) FROM deliveries \
                     WHERE account_id = ? AND status = '{status}' AND status <> 'sent' \
                     AND created_at_ms >= ? AND id >= ? AND NOT test \
                     GROUP BY created_at_ms / 86400000, carrier"
                ),
                since.clone(),
            );
            for row in self.reader.query_all_raw(statement).await? {
                let day: i64 = row.try_get_by_index(0)?;
                let count = row.try_get_by_index::<i64>(2)?.unsigned_abs();
                let is_delivered = status == "delivered";
                let figure = DayFigures {
                    day,
                    carrier: record::carrier("deliveries", &row.try_get_by_index::<String>(1)?)?,
                    delivered: if is_delivered { count } else { 0 },
                    failed: if is_delivered { 0 } else { count },
                };
                if day >= first_day {
                    add_day(&mut figures.days, figure);
                }
            }
        }
        let statement = self.sql(
            "SELECT (c.answered_at_ms - c.started_at_ms + 500) / 1000 FROM ( \
             SELECT id FROM deliveries WHERE account_id = ? AND created_at_ms >= ? AND id >= ? \
             AND NOT test ORDER BY created_at_ms DESC, id LIMIT ?) AS d \
             JOIN call_attempts AS c ON c.delivery_id = d.id WHERE c.answered_at_ms IS NOT NULL",
            since.into_iter().chain([MOST_ANSWERS.into()]),
        );
        for row in self.reader.query_all_raw(statement).await? {
            let seconds: i64 = row.try_get_by_index(0)?;
            figures.answers.push((seconds.max(0) as u32, 1));
        }
        Ok(())
    }

    async fn figures_until(&self) -> Result<i64, StoreError> {
        let statement = self.sql("SELECT until_ms FROM figures_until WHERE id = 1", []);
        let row = self.reader.query_one_raw(statement).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get_by_index(0))?)
    }

    /// Everything that is older has ended, and is written.
    async fn settled_until(&self, now_ms: i64) -> Result<i64, StoreError> {
        let statement = self.sql(
            "SELECT MIN(created_at_ms) FROM deliveries WHERE status = 'sent'",
            [],
        );
        let row = self.reader.query_one_raw(statement).await?;
        let oldest: Option<i64> = row.map_or(Ok(None), |row| row.try_get_by_index(0))?;
        let young = now_ms - SETTLES_WITHIN_MS;
        Ok(oldest.map_or(young, |oldest| Ord::min(young, oldest - WRITTEN_WITHIN_MS)))
    }

    /// When the first delivery that was made at `since_ms` or later was made; its id says so.
    async fn first_delivery_since(&self, since_ms: i64) -> Result<Option<i64>, StoreError> {
        let statement = self.sql(
            "SELECT id FROM deliveries WHERE id >= ? ORDER BY id LIMIT 1",
            [first_id(since_ms).into()],
        );
        match self.reader.query_one_raw(statement).await? {
            Some(row) => Ok(Some(time_of(row.try_get_by_index(0)?).max(since_ms))),
            None => Ok(None),
        }
    }
}

fn add_day(days: &mut Vec<DayFigures>, figure: DayFigures) {
    let same = |known: &&mut DayFigures| known.day == figure.day && known.carrier == figure.carrier;
    match days.iter_mut().find(same) {
        Some(known) => {
            known.delivered += figure.delivered;
            known.failed += figure.failed;
        }
        None => days.push(figure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_what_half_of_the_calls_took_at_most() {
        let median = |answers: &[(u32, u64)]| {
            let figures = Figures {
                answers: answers.to_vec(),
                ..Figures::default()
            };
            figures.median_answer_seconds()
        };
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[(7, 1)]), Some(7));
        assert_eq!(median(&[(9, 1), (4, 2), (4, 1), (20, 3)]), Some(9));
        assert_eq!(median(&[(4, 1), (9, 1), (20, 3)]), Some(20));
    }
}
