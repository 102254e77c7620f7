//! An account's ledger entries, newest first, with the wallet's buckets after each.
//!
//! A wallet is written before its entries, and one transaction holds it at a time, so entry ids are
//! in the order of the wallet's changes. Running totals are not stored: they are computed backwards
//! from the current wallet, and each page ends with the totals that the next one starts from.
//! Entries older than a cursor never change, so pages stay consistent however slowly they are read.

use nexo_domain::billing::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::sql::rows::{Columns, scalar};
use crate::store::views::Ledger;

/// A ledger entry and the wallet after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    pub id: i64,
    /// Shared by entries written together.
    pub posting_id: Uuid,
    pub delivery_id: Option<DeliveryId>,
    pub kind: EntryKind,
    pub bucket: Bucket,
    pub amount: Micros,
    pub reference: Option<String>,
    /// An operator's note.
    pub note: Option<String>,
    pub created_at_ms: i64,
    /// The wallet's buckets after it.
    pub after: Buckets,
}

/// An entry of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryEntry {
    pub kind: EntryKind,
    pub bucket: Bucket,
    pub amount: Micros,
    pub created_at_ms: i64,
}

/// Selects entries of an account; the default selects all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerFilter {
    pub kind: Option<EntryKind>,
    pub bucket: Option<Bucket>,
    /// Written at this time or later.
    pub from_ms: Option<i64>,
    /// Written before this time.
    pub to_ms: Option<i64>,
}

/// A position between two entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerCursor {
    /// The next entries have smaller ids.
    pub before: i64,
    /// The wallet's buckets at this position.
    pub held: Buckets,
}

/// A page of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPage {
    pub entries: Vec<LedgerEntry>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<LedgerCursor>,
}

/// The wallet and its last entry in one statement, so that no commit falls in between.
const START: &str = "SELECT w.free_micros, w.bonus_micros, w.balance_micros, \
     (SELECT MAX(e.id) FROM ledger_entries AS e WHERE e.account_id = w.account_id) \
     FROM wallets AS w WHERE w.account_id = ?";

impl Ledger<'_> {
    /// Returns at most `limit` entries that match `filter`, newest first, after the position
    /// `after`.
    ///
    /// Without a filter the cost is that of the page's rows. With a filter it also includes the
    /// entries between them, which the totals need.
    pub async fn entries(
        self,
        account: AccountId,
        filter: &LedgerFilter,
        after: Option<LedgerCursor>,
        limit: u32,
    ) -> Result<LedgerPage, StoreError> {
        self.entries_walking(MAX_WALKED, account, filter, (after, limit)).await
    }

    /// Like [`Ledger::entries`], with a given limit of walked entries; for tests.
    #[doc(hidden)]
    pub async fn entries_walking(
        self,
        most: i64,
        account: AccountId,
        filter: &LedgerFilter,
        (after, limit): (Option<LedgerCursor>, u32),
    ) -> Result<LedgerPage, StoreError> {
        let start = match after {
            Some(place) => place,
            None => self.end_of_ledger(account).await?,
        };
        let query = EntryQuery::of(account, filter, start.before);
        let rows = match self.is_sparse(&query, limit, most).await? {
            true => self.gather(&query, limit).await?,
            false => self.walk(&query, limit).await?,
        };
        let is_last = rows.len() <= limit as usize;
        let rows = rows.into_iter().take(limit as usize);
        let entries: Vec<LedgerEntry> =
            rows.map(|(row, newer)| entry(&row, start.held, newer)).collect::<Result<_, _>>()?;
        Ok(LedgerPage {
            next: entries.last().filter(|_| !is_last).map(LedgerEntry::before),
            entries,
        })
    }

    /// Returns whether the page spans more than `most` entries.
    async fn is_sparse(
        self,
        query: &EntryQuery,
        limit: u32,
        most: i64,
    ) -> Result<bool, StoreError> {
        if query.text.is_empty() {
            return Ok(false);
        }
        let sql = format!(
            "SELECT COUNT(*) FROM (SELECT id FROM ledger_entries \
             WHERE account_id = ? AND id < ? AND id >= ({}) LIMIT ?) AS between_them",
            query.first_of_page()
        );
        let values = query.place().chain(query.page(limit)).chain([Value::from(most + 1)]);
        let count: Option<i64> = scalar(&self.store.reader, self.store.sql(&sql, values)).await?;
        Ok(count.unwrap_or(0) > most)
    }

    /// Returns the page's rows with the sum of each row and all newer entries, in one walk over the
    /// whole span.
    async fn walk(self, query: &EntryQuery, limit: u32) -> Result<Vec<Counted>, StoreError> {
        let newer = |bucket: Bucket| {
            let name = bucket.as_str();
            format!(
                "CAST(SUM(CASE WHEN bucket = '{name}' THEN amount_micros ELSE 0 END) \
                 OVER (ORDER BY id DESC ROWS UNBOUNDED PRECEDING) AS bigint) AS newer_{name}"
            )
        };
        let sql = format!(
            "SELECT {ROW}, newer_free, newer_bonus, newer_balance FROM ( \
             SELECT {ROW}, {}, {}, {} FROM ledger_entries \
             WHERE account_id = ? AND id < ? AND id >= ({})) AS walked \
             WHERE id > 0{} ORDER BY id DESC",
            newer(Bucket::Free),
            newer(Bucket::Bonus),
            newer(Bucket::Balance),
            query.first_of_page(),
            query.text,
        );
        let values = query.place().chain(query.page(limit)).chain(query.bounds.iter().cloned());
        let rows = self.store.reader.query_all_raw(self.store.sql(&sql, values)).await?;
        rows.into_iter()
            .map(|row| {
                let newer = sums(&row, 9)?;
                Ok((row, newer))
            })
            .collect()
    }

    /// Like [`Self::walk`] for sparse rows: sums the entries between two rows by the index alone.
    async fn gather(self, query: &EntryQuery, limit: u32) -> Result<Vec<Counted>, StoreError> {
        let sql = format!(
            "SELECT {ROW} FROM ledger_entries WHERE account_id = ? AND id < ?{} \
             ORDER BY id DESC LIMIT ?",
            query.text
        );
        let found = self.store.sql(&sql, query.page(limit));
        let sum = |bucket: Bucket| {
            let name = bucket.as_str();
            format!(
                "CAST(COALESCE(SUM(CASE WHEN bucket = '{name}' THEN amount_micros ELSE 0 END), 0) \
                 AS bigint)"
            )
        };
        let sums_of = format!(
            "SELECT {}, {}, {} FROM ledger_entries WHERE account_id = ? AND id >= ? AND id < ?",
            sum(Bucket::Free),
            sum(Bucket::Bonus),
            sum(Bucket::Balance),
        );
        let (mut newer, mut before) = (Buckets::default(), query.before);
        let mut counted = Vec::new();
        for row in self.store.reader.query_all_raw(found).await? {
            let id: i64 = row.try_get_by_index(0)?;
            let range = [query.account.0.into(), id.into(), before.into()];
            let between = self.store.sql(&sums_of, range);
            if let Some(between) = self.store.reader.query_one_raw(between).await? {
                newer = plus(newer, sums(&between, 0)?);
            }
            before = id;
            counted.push((row, newer));
        }
        Ok(counted)
    }

    /// Returns the entries of one delivery of the account, in the order in which they were written.
    pub async fn delivery_entries(
        self,
        account: AccountId,
        delivery: DeliveryId,
    ) -> Result<Vec<DeliveryEntry>, StoreError> {
        // The account is compared here: with it in the condition SQLite would scan all entries of
        // the account.
        let statement = self.store.sql(
            "SELECT kind, bucket, amount_micros, created_at_ms, account_id FROM ledger_entries \
             WHERE delivery_id = ? ORDER BY id",
            [delivery.0.into()],
        );
        let unreadable = |column| StoreError::unreadable("ledger_entries", column);
        let mut entries = Vec::new();
        for row in self.store.reader.query_all_raw(statement).await? {
            let (kind, bucket, amount, created_at_ms, of_account): (
                String,
                String,
                i64,
                i64,
                Uuid,
            ) = row.try_get_many_by_index()?;
            if of_account != account.0 {
                continue;
            }
            entries.push(DeliveryEntry {
                kind: EntryKind::named(&kind).ok_or(unreadable("kind"))?,
                bucket: Bucket::named(&bucket).ok_or(unreadable("bucket"))?,
                amount: Micros::new(amount),
                created_at_ms,
            });
        }
        Ok(entries)
    }

    /// Returns the position after the account's last entry.
    async fn end_of_ledger(self, account: AccountId) -> Result<LedgerCursor, StoreError> {
        let statement = self.store.sql(START, [account.0.into()]);
        let row = self.store.reader.query_one_raw(statement).await?;
        let Some(row) = row else {
            return Ok(LedgerCursor { before: 0, held: Buckets::default() });
        };
        let mut row = Columns::of(&row);
        Ok(LedgerCursor {
            held: row.buckets()?,
            before: row.get::<Option<i64>>()?.unwrap_or(0) + 1,
        })
    }
}

impl LedgerEntry {
    /// Returns the position before this entry.
    fn before(&self) -> LedgerCursor {
        LedgerCursor { before: self.id, held: less(self.after, self.bucket, self.amount) }
    }
}

/// A row, and the sum of it and the newer entries.
type Counted = (QueryResult, Buckets);

/// The columns of an entry.
const ROW: &str = "id, posting_id, delivery_id, kind, bucket, amount_micros, reference, note, \
     created_at_ms";
/// Above this number of entries in a page's span, index-only sums are cheaper than a walk.
const MAX_WALKED: i64 = 10_000;

/// A query for an account's entries before a position that match a filter.
struct EntryQuery {
    account: AccountId,
    before: i64,
    /// The filter's conditions, each with a leading AND.
    text: String,
    /// Their values.
    bounds: Vec<Value>,
}

impl EntryQuery {
    fn of(account: AccountId, filter: &LedgerFilter, before: i64) -> EntryQuery {
        let mut text = String::new();
        let mut bounds = Vec::new();
        let mut add = |condition: &str, value: Option<Value>| {
            if let Some(value) = value {
                text.push_str(condition);
                bounds.push(value);
            }
        };
        add(" AND kind = ?", filter.kind.map(|k| k.as_str().into()));
        add(" AND bucket = ?", filter.bucket.map(|b| b.as_str().into()));
        add(" AND created_at_ms >= ?", filter.from_ms.map(Value::from));
        add(" AND created_at_ms < ?", filter.to_ms.map(Value::from));
        EntryQuery { account, before, text, bounds }
    }

    /// Returns SQL for the smallest id of the page; its values are [`EntryQuery::page`].
    fn first_of_page(&self) -> String {
        format!(
            "SELECT COALESCE(MIN(id), {}) FROM ( \
             SELECT id FROM ledger_entries WHERE account_id = ? AND id < ?{} \
             ORDER BY id DESC LIMIT ?) AS page",
            i64::MAX,
            self.text
        )
    }

    fn place(&self) -> impl Iterator<Item = Value> {
        [Value::from(self.account.0), Value::from(self.before)].into_iter()
    }

    /// One row more than the page, to detect whether another page follows.
    fn page(&self, limit: u32) -> impl Iterator<Item = Value> {
        let wanted = Value::from(i64::from(limit) + 1);
        self.place().chain(self.bounds.clone()).chain([wanted])
    }
}

/// Reads three sums starting at this column.
fn sums(row: &QueryResult, column: usize) -> Result<Buckets, StoreError> {
    let sum = |column| row.try_get_by_index(column).map(Micros::new);
    Ok(Buckets { free: sum(column)?, bonus: sum(column + 1)?, balance: sum(column + 2)? })
}

fn plus(one: Buckets, other: Buckets) -> Buckets {
    let sum = |a: Micros, b: Micros| Micros::new(a.get().wrapping_add(b.get()));
    Buckets {
        free: sum(one.free, other.free),
        bonus: sum(one.bonus, other.bonus),
        balance: sum(one.balance, other.balance),
    }
}

fn entry(row: &QueryResult, start: Buckets, newer: Buckets) -> Result<LedgerEntry, StoreError> {
    let unreadable = |column| StoreError::unreadable("ledger_entries", column);
    let mut row = Columns::of(row);
    let before = Buckets {
        free: minus(start.free, newer.free),
        bonus: minus(start.bonus, newer.bonus),
        balance: minus(start.balance, newer.balance),
    };
    let mut entry = LedgerEntry {
        id: row.get()?,
        posting_id: row.get()?,
        delivery_id: row.get::<Option<Uuid>>()?.map(DeliveryId),
        kind: EntryKind::named(&row.get::<String>()?).ok_or(unreadable("kind"))?,
        bucket: Bucket::named(&row.get::<String>()?).ok_or(unreadable("bucket"))?,
        amount: row.micros()?,
        reference: row.get()?,
        note: row.get()?,
        created_at_ms: row.get()?,
        after: before,
    };
    let negated = Micros::new(entry.amount.get().wrapping_neg());
    entry.after = less(before, entry.bucket, negated);
    Ok(entry)
}

fn less(mut held: Buckets, bucket: Bucket, amount: Micros) -> Buckets {
    let held_there = match bucket {
        Bucket::Free => &mut held.free,
        Bucket::Bonus => &mut held.bonus,
        Bucket::Balance => &mut held.balance,
    };
    *held_there = minus(*held_there, amount);
    held
}

/// Sums of stored amounts stay far within 64 bits. A forged cursor may overflow, and only affects
/// its sender.
fn minus(held: Micros, amount: Micros) -> Micros {
    Micros::new(held.get().wrapping_sub(amount.get()))
}
