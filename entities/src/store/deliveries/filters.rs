//! Which stretches of deliveries a search has to look through.
//!
//! A stretch is some thousand deliveries with consecutive ids, of all accounts. Once all of it is written, it is
//! given Bloom filters of what it holds; they are made beside the hot path, and cost it nothing. What has none
//! yet is looked through.

use std::collections::HashSet;

use nexo_domain::ids::{AccountId, DeliveryId};
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use super::pages::DeliveryFilter;
use crate::store::sql::bloom;
use crate::store::sql::bloom::Member;
use crate::store::sql::id_time::{ID_AHEAD_MS, WRITTEN_WITHIN_MS, first_id, time_of};
use crate::store::{Store, StoreError};

/// How many deliveries share a filter.
const STRETCH: usize = 8_192;
/// So many filters are read at once.
const AT_ONCE: i64 = 256;

/// A range of times at which deliveries were accepted, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Range {
    pub from_ms: i64,
    pub to_ms: i64,
}

/// What the filters are asked.
struct Asked {
    phone: Option<Member>,
    carrier: Option<Member>,
}

impl Asked {
    fn of(account: AccountId, filter: &DeliveryFilter) -> Asked {
        Asked {
            phone: filter
                .phone
                .map(|phone| phone_of(account.0, &phone.to_string())),
            carrier: filter
                .carrier
                .map(|carrier| carrier_of(account.0, carrier.name())),
        }
    }

    /// Whether the stretch may hold such deliveries.
    fn admits(&self, row: &QueryResult) -> Result<bool, StoreError> {
        for (member, column) in [(self.carrier, 4), (self.phone, 3)] {
            if let Some(member) = member {
                let filter: Vec<u8> = row.try_get_by_index(column)?;
                if !bloom::may_have(&filter, member) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn phone_of(account: Uuid, phone: &str) -> Member {
    Member::of(&[account.as_bytes(), phone.as_bytes()])
}

fn carrier_of(account: Uuid, carrier: &str) -> Member {
    Member::of(&[account.as_bytes(), carrier.as_bytes()])
}

/// A stretch and its filters.
struct Stretch {
    until: Uuid,
    range: Range,
    phones: HashSet<Member>,
    carriers: HashSet<Member>,
}

impl Stretch {
    /// Of its deliveries in the order of their ids; `None` where there are none.
    fn of(rows: &[QueryResult]) -> Result<Option<Stretch>, StoreError> {
        let mut stretch = Stretch {
            until: Uuid::nil(),
            range: Range {
                from_ms: i64::MAX,
                to_ms: i64::MIN,
            },
            phones: HashSet::with_capacity(rows.len()),
            carriers: HashSet::new(),
        };
        for row in rows {
            stretch.until = row.try_get_by_index(0)?;
            let account: Uuid = row.try_get_by_index(1)?;
            let phone: String = row.try_get_by_index(2)?;
            // A phone that is masked already is searched for by nobody.
            if !phone.contains('*') {
                stretch.phones.insert(phone_of(account, &phone));
            }
            let carrier: String = row.try_get_by_index(3)?;
            stretch.carriers.insert(carrier_of(account, &carrier));
            let at_ms: i64 = row.try_get_by_index(4)?;
            stretch.range.from_ms = stretch.range.from_ms.min(at_ms);
            stretch.range.to_ms = stretch.range.to_ms.max(at_ms);
        }
        Ok((!rows.is_empty()).then_some(stretch))
    }
}

impl Store {
    /// Gives the next stretch its filters, if all of it is written. Whether there may be more to do at once.
    ///
    /// Several nodes may do so: each stretch is written once.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn add_delivery_filter(&self, now_ms: i64) -> Result<bool, StoreError> {
        self.add_filter_of(STRETCH, now_ms).await
    }

    /// The same with a stretch of another length, for tests.
    ///
    /// # Errors
    /// What the database fails with.
    #[doc(hidden)]
    pub async fn add_filter_of(&self, length: usize, now_ms: i64) -> Result<bool, StoreError> {
        self.add_filter_while(length, now_ms, async || ()).await
    }

    /// The same with something that happens between reading the stretch and writing its filters, for tests.
    ///
    /// # Errors
    /// What the database fails with.
    #[doc(hidden)]
    pub async fn add_filter_while(
        &self,
        length: usize,
        now_ms: i64,
        meanwhile: impl AsyncFnOnce(),
    ) -> Result<bool, StoreError> {
        let kept = self.filters_until().await?;
        let written = first_id(now_ms - WRITTEN_WITHIN_MS - ID_AHEAD_MS);
        let statement = self.sql(
            "SELECT id, account_id, phone, carrier, created_at_ms FROM deliveries \
             WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            [
                kept.unwrap_or(Uuid::nil()).into(),
                written.into(),
                (length as i64).into(),
            ],
        );
        let rows = self.reader.query_all_raw(statement).await?;
        if rows.len() < length {
            return Ok(false);
        }
        let Some(stretch) = Stretch::of(&rows)? else {
            return Ok(false);
        };
        meanwhile().await;
        let transaction = self.begin().await?;
        let moved = self.sql(
            "UPDATE delivery_filters_until SET until_id = ? \
             WHERE id = 1 AND COALESCE(until_id, ?) = ?",
            [
                stretch.until.into(),
                Uuid::nil().into(),
                kept.unwrap_or(Uuid::nil()).into(),
            ],
        );
        if transaction.execute_raw(moved).await?.rows_affected() == 0 {
            // Another node was quicker.
            transaction.rollback().await?;
            return Ok(true);
        }
        let phones = match self.is_masked(&transaction, stretch.until).await? {
            true => Vec::new(),
            false => bloom::filter(&stretch.phones),
        };
        let insert = self.sql(
            "INSERT INTO delivery_filters (until_id, first_ms, last_ms, phones, carriers) \
             VALUES (?, ?, ?, ?, ?)",
            [
                stretch.until.into(),
                stretch.range.from_ms.into(),
                stretch.range.to_ms.into(),
                phones.into(),
                bloom::filter(&stretch.carriers).into(),
            ],
        );
        transaction.execute_raw(insert).await?;
        self.end(transaction).await?;
        Ok(true)
    }

    /// Whether this delivery's phone has been masked: of a stretch that ends with it no phone is to be known
    /// any more, though some were read before that.
    async fn is_masked(
        &self,
        transaction: &DatabaseTransaction,
        id: Uuid,
    ) -> Result<bool, StoreError> {
        let statement = self.sql(
            "SELECT id FROM deliveries WHERE id = ? AND phone LIKE '%*%'",
            [id.into()],
        );
        let found = transaction.query_one_raw(statement).await?;
        Ok(found.is_some())
    }

    /// Keeps filters from being made until the transaction ends: those that are made afterwards see what it
    /// wrote.
    pub(in crate::store) async fn hold_filters(
        &self,
        transaction: &DatabaseTransaction,
    ) -> Result<(), StoreError> {
        let statement = self.sql(
            "UPDATE delivery_filters_until SET id = 1 WHERE id = ?",
            [1.into()],
        );
        transaction.execute_raw(statement).await?;
        Ok(())
    }

    /// Forgets the phones of the stretches that end with this delivery or before.
    pub(in crate::store) async fn empty_phone_filters(
        &self,
        transaction: &DatabaseTransaction,
        until: DeliveryId,
    ) -> Result<(), StoreError> {
        let statement = self.sql(
            "UPDATE delivery_filters SET phones = ? WHERE until_id <= ? AND length(phones) > 0",
            [Value::from(Vec::<u8>::new()), until.0.into()],
        );
        transaction.execute_raw(statement).await?;
        Ok(())
    }

    /// When what passes `filter` may have been accepted: the newest range first, none touching another.
    pub(in crate::store) async fn ranges(
        &self,
        account: AccountId,
        filter: &DeliveryFilter,
    ) -> Result<Vec<Range>, StoreError> {
        let asked = Asked::of(account, filter);
        // Whatever has no filters yet.
        let mut ranges = vec![Range {
            from_ms: match self.filters_until().await? {
                Some(until) => time_of(until) - ID_AHEAD_MS,
                None => i64::MIN,
            },
            to_ms: i64::MAX,
        }];
        let mut before: Uuid = Uuid::max();
        let mut follows = true;
        loop {
            let rows = self.filters_before(before, filter).await?;
            for row in &rows {
                before = row.try_get_by_index(0)?;
                let range = Range {
                    from_ms: row.try_get_by_index(1)?,
                    to_ms: row.try_get_by_index(2)?,
                };
                let admitted = asked.admits(row)?;
                match ranges.last_mut().filter(|_| follows) {
                    // Nothing lies between two stretches that follow each other.
                    Some(newer) if admitted => newer.from_ms = newer.from_ms.min(range.from_ms),
                    _ if admitted => ranges.push(range),
                    _ => {}
                }
                follows = admitted;
            }
            if (rows.len() as i64) < AT_ONCE {
                return Ok(apart(ranges));
            }
        }
    }

    async fn filters_before(
        &self,
        before: Uuid,
        filter: &DeliveryFilter,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let statement = self.sql(
            "SELECT until_id, first_ms, last_ms, phones, carriers FROM delivery_filters \
             WHERE until_id < ? AND last_ms >= ? AND first_ms < ? \
             ORDER BY until_id DESC LIMIT ?",
            [
                before.into(),
                filter.from_ms.unwrap_or(i64::MIN).into(),
                filter.to_ms.unwrap_or(i64::MAX).into(),
                AT_ONCE.into(),
            ],
        );
        Ok(self.reader.query_all_raw(statement).await?)
    }

    async fn filters_until(&self) -> Result<Option<Uuid>, StoreError> {
        let statement = self.sql(
            "SELECT until_id FROM delivery_filters_until WHERE id = 1",
            [],
        );
        let row = self.reader.query_one_raw(statement).await?;
        Ok(row.map_or(Ok(None), |row| row.try_get_by_index(0))?)
    }
}

/// The same times in ranges that do not touch, the newest first.
fn apart(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_by_key(|range| std::cmp::Reverse(range.to_ms));
    let mut apart: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match apart.last_mut() {
            Some(newer) if range.to_ms >= newer.from_ms.saturating_sub(1) => {
                newer.from_ms = newer.from_ms.min(range.from_ms);
            }
            _ => apart.push(range),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let range = |from_ms, to_ms| Range { from_ms, to_ms };
        let all = vec![
            range(90, i64::MAX),
            range(10, 20),
            range(80, 89),
            range(15, 30),
            range(1, 5),
        ];
        assert_eq!(
            apart(all),
            [range(80, i64::MAX), range(10, 30), range(1, 5)]
        );
        assert_eq!(apart(vec![range(i64::MIN, i64::MAX), range(1, 2)]).len(), 1);
    }
}
