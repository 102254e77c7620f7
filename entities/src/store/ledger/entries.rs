//! An account's ledger entries, the latest first, with what the wallet held after each.
//!
//! A wallet is written before its entries are, and one transaction holds it at a time, so the ids of an
//! account's entries are in the order in which its wallet changed. Totals are nowhere kept: they are
//! walked back from the wallet as it is, and what a page ends with is where the next one starts. What is
//! older than a start never changes, so the pages agree however long somebody takes to turn them.

use nexo_domain::billing::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

use crate::store::{Store, StoreError};

/// An entry as it is kept, and the wallet after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    pub id: i64,
    /// The same for the entries that were written together.
    pub posting_id: Uuid,
    pub delivery_id: Option<DeliveryId>,
    pub kind: EntryKind,
    pub bucket: Bucket,
    pub amount: Micros,
    pub reference: Option<String>,
    /// What an operator said of it.
    pub note: Option<String>,
    pub created_at_ms: i64,
    /// What the wallet held after it.
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

/// Which entries are meant. All of the account, where nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerFilter {
    pub kind: Option<EntryKind>,
    pub bucket: Option<Bucket>,
    /// Written at this time or later.
    pub from_ms: Option<i64>,
    /// Written before this time.
    pub to_ms: Option<i64>,
}

/// A place between two entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerPlace {
    /// The entries with smaller ids come next.
    pub before: i64,
    /// What the wallet held there.
    pub held: Buckets,
}

/// A page of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPage {
    pub entries: Vec<LedgerEntry>,
    /// What the next page starts after; `None` where this is the last one.
    pub next: Option<LedgerPlace>,
}

/// The wallet and its last entry in one statement, so that no commit comes between them.
const START: &str = "SELECT w.free_micros, w.bonus_micros, w.balance_micros, \
     (SELECT MAX(e.id) FROM ledger_entries AS e WHERE e.account_id = w.account_id) \
     FROM wallets AS w WHERE w.account_id = ?";

impl Store {
    /// The account's entries that pass `filter`, the latest first: those after the place `after`, at most
    /// `limit`.
    ///
    /// Without a filter a page costs what its rows cost. With one it costs a look at the entries between
    /// its rows too, which the totals need.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn ledger_page(
        &self,
        account: AccountId,
        filter: &LedgerFilter,
        after: Option<LedgerPlace>,
        limit: u32,
    ) -> Result<LedgerPage, StoreError> {
        self.ledger_page_walking(MOST_WALKED, account, filter, (after, limit))
            .await
    }

    /// The same, walking at most so many entries, for tests.
    ///
    /// # Errors
    /// What the database fails with.
    #[doc(hidden)]
    pub async fn ledger_page_walking(
        &self,
        most: i64,
        account: AccountId,
        filter: &LedgerFilter,
        (after, limit): (Option<LedgerPlace>, u32),
    ) -> Result<LedgerPage, StoreError> {
        let start = match after {
            Some(place) => place,
            None => self.end_of_ledger(account).await?,
        };
        let passing = Passing::of(account, filter, start.before);
        let rows = match self.is_sparse(&passing, limit, most).await? {
            true => self.gather(&passing, limit).await?,
            false => self.walk(&passing, limit).await?,
        };
        let is_last = rows.len() <= limit as usize;
        let rows = rows.into_iter().take(limit as usize);
        let entries: Vec<LedgerEntry> = rows
            .map(|(row, newer)| entry(&row, start.held, newer))
            .collect::<Result<_, _>>()?;
        Ok(LedgerPage {
            next: entries.last().filter(|_| !is_last).map(LedgerEntry::before),
            entries,
        })
    }

    /// Whether more than `most` entries have to be looked at for the page.
    async fn is_sparse(
        &self,
        passing: &Passing,
        limit: u32,
        most: i64,
    ) -> Result<bool, StoreError> {
        if passing.text.is_empty() {
            return Ok(false);
        }
        let sql = format!(
            "SELECT COUNT(*) FROM (SELECT id FROM ledger_entries \
             WHERE account_id = ? AND id < ? AND id >= ({}) LIMIT ?) AS between_them",
            passing.first_of_page()
        );
        let values = passing
            .place()
            .chain(passing.page(limit))
            .chain([Value::from(most + 1)]);
        let row = self.reader.query_one_raw(self.sql(&sql, values)).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(count > most)
    }

    /// The rows of a page, each with what the entries from it on came to, in one walk over them and all between
    /// them.
    async fn walk(&self, passing: &Passing, limit: u32) -> Result<Vec<Counted>, StoreError> {
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
            passing.first_of_page(),
            passing.text,
        );
        let values = passing
            .place()
            .chain(passing.page(limit))
            .chain(passing.bounds.iter().cloned());
        let rows = self.reader.query_all_raw(self.sql(&sql, values)).await?;
        rows.into_iter()
            .map(|row| {
                let newer = sums(&row, 9)?;
                Ok((row, newer))
            })
            .collect()
    }

    /// The same where few rows lie far apart: what lies between two of them is added up by the index alone.
    async fn gather(&self, passing: &Passing, limit: u32) -> Result<Vec<Counted>, StoreError> {
        let sql = format!(
            "SELECT {ROW} FROM ledger_entries WHERE account_id = ? AND id < ?{} \
             ORDER BY id DESC LIMIT ?",
            passing.text
        );
        let found = self.sql(&sql, passing.page(limit));
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
        let (mut newer, mut before) = (Buckets::default(), passing.before);
        let mut counted = Vec::new();
        for row in self.reader.query_all_raw(found).await? {
            let id: i64 = row.try_get_by_index(0)?;
            let range = [passing.account.0.into(), id.into(), before.into()];
            let between = self.sql(&sums_of, range);
            if let Some(between) = self.reader.query_one_raw(between).await? {
                newer = plus(newer, sums(&between, 0)?);
            }
            before = id;
            counted.push((row, newer));
        }
        Ok(counted)
    }

    /// The entries of one delivery of the account, in the order in which they were written: kind, bucket,
    /// amount and time.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn delivery_entries(
        &self,
        account: AccountId,
        delivery: DeliveryId,
    ) -> Result<Vec<DeliveryEntry>, StoreError> {
        // The account is compared here: asked for it, too, SQLite would walk all of its entries in their order.
        let statement = self.sql(
            "SELECT kind, bucket, amount_micros, created_at_ms, account_id FROM ledger_entries \
             WHERE delivery_id = ? ORDER BY id",
            [delivery.0.into()],
        );
        let unreadable = |column| StoreError::Unreadable {
            table: "ledger_entries",
            column,
        };
        let mut entries = Vec::new();
        for row in self.reader.query_all_raw(statement).await? {
            if row.try_get_by_index::<Uuid>(4)? != account.0 {
                continue;
            }
            let kind: String = row.try_get_by_index(0)?;
            let bucket: String = row.try_get_by_index(1)?;
            entries.push(DeliveryEntry {
                kind: EntryKind::named(&kind).ok_or(unreadable("kind"))?,
                bucket: Bucket::named(&bucket).ok_or(unreadable("bucket"))?,
                amount: Micros::new(row.try_get_by_index(2)?),
                created_at_ms: row.try_get_by_index(3)?,
            });
        }
        Ok(entries)
    }

    /// The place after the account's last entry.
    async fn end_of_ledger(&self, account: AccountId) -> Result<LedgerPlace, StoreError> {
        let statement = self.sql(START, [account.0.into()]);
        let row = self.reader.query_one_raw(statement).await?;
        let Some(row) = row else {
            return Ok(LedgerPlace {
                before: 0,
                held: Buckets::default(),
            });
        };
        let micros = |place| row.try_get_by_index(place).map(Micros::new);
        Ok(LedgerPlace {
            before: row.try_get_by_index::<Option<i64>>(3)?.unwrap_or(0) + 1,
            held: Buckets {
                free: micros(0)?,
                bonus: micros(1)?,
                balance: micros(2)?,
            },
        })
    }
}

impl LedgerEntry {
    /// The place before it.
    fn before(&self) -> LedgerPlace {
        LedgerPlace {
            before: self.id,
            held: less(self.after, self.bucket, self.amount),
        }
    }
}

/// A row, and what it and the newer entries came to.
type Counted = (QueryResult, Buckets);

/// What is read of an entry.
const ROW: &str = "id, posting_id, delivery_id, kind, bucket, amount_micros, reference, note, \
     created_at_ms";
/// Past so many entries between a page's rows, adding them up by the index alone costs less than a walk.
const MOST_WALKED: i64 = 10_000;

/// The entries of an account before a place that pass a filter.
struct Passing {
    account: AccountId,
    before: i64,
    /// What entries have to be: text that follows other conditions.
    text: String,
    /// Its values.
    bounds: Vec<Value>,
}

impl Passing {
    fn of(account: AccountId, filter: &LedgerFilter, before: i64) -> Passing {
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
        Passing {
            account,
            before,
            text,
            bounds,
        }
    }

    /// The smallest id of the page, as text whose values are [`Passing::page`].
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

    /// One more than the page's: it tells whether there is a next one.
    fn page(&self, limit: u32) -> impl Iterator<Item = Value> {
        let wanted = Value::from(i64::from(limit) + 1);
        self.place().chain(self.bounds.clone()).chain([wanted])
    }
}

/// What entries came to, from this column on.
fn sums(row: &QueryResult, column: usize) -> Result<Buckets, StoreError> {
    let sum = |column| row.try_get_by_index(column).map(Micros::new);
    Ok(Buckets {
        free: sum(column)?,
        bonus: sum(column + 1)?,
        balance: sum(column + 2)?,
    })
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
    let unreadable = |column| StoreError::Unreadable {
        table: "ledger_entries",
        column,
    };
    let kind: String = row.try_get_by_index(3)?;
    let bucket: String = row.try_get_by_index(4)?;
    let bucket = Bucket::named(&bucket).ok_or(unreadable("bucket"))?;
    let amount = Micros::new(row.try_get_by_index(5)?);
    let before = Buckets {
        free: minus(start.free, newer.free),
        bonus: minus(start.bonus, newer.bonus),
        balance: minus(start.balance, newer.balance),
    };
    Ok(LedgerEntry {
        id: row.try_get_by_index(0)?,
        posting_id: row.try_get_by_index(1)?,
        delivery_id: row.try_get_by_index::<Option<Uuid>>(2)?.map(DeliveryId),
        kind: EntryKind::named(&kind).ok_or(unreadable("kind"))?,
        bucket,
        amount,
        reference: row.try_get_by_index(6)?,
        note: row.try_get_by_index(7)?,
        created_at_ms: row.try_get_by_index(8)?,
        after: less(before, bucket, Micros::new(amount.get().wrapping_neg())),
    })
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

/// Sums of stored amounts stay far inside 64 bits; a forged cursor may not, and harms only its reader.
fn minus(held: Micros, amount: Micros) -> Micros {
    Micros::new(held.get().wrapping_sub(amount.get()))
}
