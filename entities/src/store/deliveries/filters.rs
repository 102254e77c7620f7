//! Bloom filters that tell which segments of deliveries a search must read.
//!
//! A segment is some thousand deliveries with consecutive ids, of all accounts. Once it is
//! completely written, it gets Bloom filters of its phones and carriers. They are built outside the
//! hot path. Segments without filters are always searched.

use std::collections::HashSet;

use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::sql::bloom;
use crate::store::sql::bloom::Member;
use crate::store::sql::id_time::{ID_CLOCK_SKEW_MS, MAX_WRITE_DELAY_MS, id_time_ms, min_id_at};
use crate::store::sql::rows::scalar;
use crate::store::views::Deliveries;

/// Number of deliveries per filter.
const SEGMENT_LEN: usize = 8_192;
/// Number of filters read at once.
const FILTERS_PER_READ: i64 = 256;

/// A range of acceptance times, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub from_ms: i64,
    pub to_ms: i64,
}

/// A search for a phone or a carrier of an account.
pub(crate) struct SearchQuery {
    pub account: AccountId,
    pub phone: Option<Phone>,
    pub carrier: Option<Carrier>,
    /// Accepted at this time or later.
    pub from_ms: i64,
    /// Accepted before this time.
    pub to_ms: i64,
}

/// The members that the filters are tested for.
struct Wanted {
    phone: Option<Member>,
    carrier: Option<Member>,
}

impl Wanted {
    fn of(query: &SearchQuery) -> Wanted {
        let account = query.account.0;
        Wanted {
            phone: query.phone.map(|phone| phone_of(account, &phone.to_string())),
            carrier: query.carrier.map(|carrier| carrier_of(account, carrier.name())),
        }
    }

    /// Returns whether the segment may contain matching deliveries.
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

/// A segment and the members of its filters.
struct Segment {
    until: Uuid,
    range: Range,
    phones: HashSet<Member>,
    carriers: HashSet<Member>,
}

impl Segment {
    /// Builds a segment from its deliveries in id order; `None` if there are none.
    fn of(rows: &[QueryResult]) -> Result<Option<Segment>, StoreError> {
        let mut segment = Segment {
            until: Uuid::nil(),
            range: Range { from_ms: i64::MAX, to_ms: i64::MIN },
            phones: HashSet::with_capacity(rows.len()),
            carriers: HashSet::new(),
        };
        for row in rows {
            let (id, account, phone, carrier, at_ms): (Uuid, Uuid, String, String, i64) =
                row.try_get_many_by_index()?;
            segment.until = id;
            // A masked phone cannot be searched for.
            if !phone.contains('*') {
                segment.phones.insert(phone_of(account, &phone));
            }
            segment.carriers.insert(carrier_of(account, &carrier));
            segment.range.from_ms = segment.range.from_ms.min(at_ms);
            segment.range.to_ms = segment.range.to_ms.max(at_ms);
        }
        Ok((!rows.is_empty()).then_some(segment))
    }
}

impl Deliveries<'_> {
    /// Builds the filters of the next segment if it is completely written. Returns whether another
    /// segment may follow at once.
    ///
    /// Several nodes may run it: each segment is written once.
    pub async fn build_next_filter(self, now_ms: i64) -> Result<bool, StoreError> {
        self.build_filter_of(SEGMENT_LEN, now_ms).await
    }

    /// Like [`Deliveries::build_next_filter`], with a given segment length; for tests.
    #[doc(hidden)]
    pub async fn build_filter_of(self, length: usize, now_ms: i64) -> Result<bool, StoreError> {
        self.build_filter_while(length, now_ms, async || ()).await
    }

    /// Like [`Deliveries::build_filter_of`], running `meanwhile` between reading and writing; for
    /// tests.
    #[doc(hidden)]
    pub async fn build_filter_while(
        self,
        length: usize,
        now_ms: i64,
        meanwhile: impl AsyncFnOnce(),
    ) -> Result<bool, StoreError> {
        let kept = self.filters_until().await?;
        let written = min_id_at(now_ms - MAX_WRITE_DELAY_MS - ID_CLOCK_SKEW_MS);
        let statement = self.store.sql(
            "SELECT id, account_id, phone, carrier, created_at_ms FROM deliveries \
             WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            [kept.unwrap_or(Uuid::nil()).into(), written.into(), (length as i64).into()],
        );
        let rows = self.store.job_reader.query_all_raw(statement).await?;
        if rows.len() < length {
            return Ok(false);
        }
        let Some(segment) = Segment::of(&rows)? else {
            return Ok(false);
        };
        meanwhile().await;
        let transaction = self.store.begin().await?;
        let moved = self.store.sql(
            "UPDATE delivery_filters_until SET until_id = ? \
             WHERE id = 1 AND COALESCE(until_id, ?) = ?",
            [segment.until.into(), Uuid::nil().into(), kept.unwrap_or(Uuid::nil()).into()],
        );
        if transaction.execute_raw(moved).await?.rows_affected() == 0 {
            // Another node was faster.
            transaction.rollback().await?;
            return Ok(true);
        }
        let phones = match self.is_masked(&transaction, segment.until).await? {
            true => Vec::new(),
            false => bloom::filter(&segment.phones),
        };
        let insert = self.store.sql(
            "INSERT INTO delivery_filters (until_id, first_ms, last_ms, phones, carriers) \
             VALUES (?, ?, ?, ?, ?)",
            [
                segment.until.into(),
                segment.range.from_ms.into(),
                segment.range.to_ms.into(),
                phones.into(),
                bloom::filter(&segment.carriers).into(),
            ],
        );
        transaction.execute_raw(insert).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Returns whether this delivery's phone was masked. If so, the segment that ends with it must
    /// not contain phones, even if they were read before.
    async fn is_masked(
        self,
        transaction: &DatabaseTransaction,
        id: Uuid,
    ) -> Result<bool, StoreError> {
        let statement = self
            .store
            .sql("SELECT id FROM deliveries WHERE id = ? AND phone LIKE '%*%'", [id.into()]);
        let found = transaction.query_one_raw(statement).await?;
        Ok(found.is_some())
    }

    /// Locks filter building until the transaction ends: later filters see its writes.
    pub(crate) async fn lock_filters(
        self,
        transaction: &DatabaseTransaction,
    ) -> Result<(), StoreError> {
        let statement =
            self.store.sql("UPDATE delivery_filters_until SET id = 1 WHERE id = ?", [1.into()]);
        transaction.execute_raw(statement).await?;
        Ok(())
    }

    /// Clears the phones of the segments that end at this delivery or before.
    pub(crate) async fn empty_phone_filters(
        self,
        transaction: &DatabaseTransaction,
        until: DeliveryId,
    ) -> Result<(), StoreError> {
        let statement = self.store.sql(
            "UPDATE delivery_filters SET phones = ? WHERE until_id <= ? AND length(phones) > 0",
            [Value::from(Vec::<u8>::new()), until.0.into()],
        );
        transaction.execute_raw(statement).await?;
        Ok(())
    }

    /// Returns when deliveries that match `query` may have been accepted: disjoint ranges, newest
    /// first.
    pub(crate) async fn ranges(self, query: &SearchQuery) -> Result<Vec<Range>, StoreError> {
        let wanted = Wanted::of(query);
        // Everything without filters yet.
        let mut ranges = vec![Range {
            from_ms: match self.filters_until().await? {
                Some(until) => id_time_ms(until) - ID_CLOCK_SKEW_MS,
                None => i64::MIN,
            },
            to_ms: i64::MAX,
        }];
        let mut before: Uuid = Uuid::max();
        let mut follows = true;
        loop {
            let rows = self.filters_before(before, query).await?;
            for row in &rows {
                let (until, from_ms, to_ms): (Uuid, i64, i64) = row.try_get_many_by_index()?;
                before = until;
                let range = Range { from_ms, to_ms };
                let admitted = wanted.admits(row)?;
                match ranges.last_mut().filter(|_| follows) {
                    // Nothing lies between consecutive segments.
                    Some(newer) if admitted => newer.from_ms = newer.from_ms.min(range.from_ms),
                    _ if admitted => ranges.push(range),
                    _ => {}
                }
                follows = admitted;
            }
            if (rows.len() as i64) < FILTERS_PER_READ {
                return Ok(merge_ranges(ranges));
            }
        }
    }

    async fn filters_before(
        self,
        before: Uuid,
        query: &SearchQuery,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let statement = self.store.sql(
            "SELECT until_id, first_ms, last_ms, phones, carriers FROM delivery_filters \
             WHERE until_id < ? AND last_ms >= ? AND first_ms < ? \
             ORDER BY until_id DESC LIMIT ?",
            [before.into(), query.from_ms.into(), query.to_ms.into(), FILTERS_PER_READ.into()],
        );
        Ok(self.store.reader.query_all_raw(statement).await?)
    }

    pub(super) async fn filters_until(self) -> Result<Option<Uuid>, StoreError> {
        let statement =
            self.store.sql("SELECT until_id FROM delivery_filters_until WHERE id = 1", []);
        let until: Option<Option<Uuid>> = scalar(&self.store.reader, statement).await?;
        Ok(until.flatten())
    }
}

/// Merges touching ranges, newest first.
fn merge_ranges(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_by_key(|range| std::cmp::Reverse(range.to_ms));
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(newer) if range.to_ms >= newer.from_ms.saturating_sub(1) => {
                newer.from_ms = newer.from_ms.min(range.from_ms);
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let range = |from_ms, to_ms| Range { from_ms, to_ms };
        let all =
            vec![range(90, i64::MAX), range(10, 20), range(80, 89), range(15, 30), range(1, 5)];
        assert_eq!(merge_ranges(all), [range(80, i64::MAX), range(10, 30), range(1, 5)]);
        assert_eq!(merge_ranges(vec![range(i64::MIN, i64::MAX), range(1, 2)]).len(), 1);
    }
}
