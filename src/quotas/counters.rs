//! Daily counts in memory. What this node counted is added to the database periodically; the answer includes what
//! other nodes counted.

use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use nexo_domain::account::quota::{QuotaExceeded, QuotaKind, Usage, day_of};
use nexo_domain::ids::AccountId;
use nexo_entities::store::accounts::quotas::QuotaDelta;
use nexo_entities::store::{Store, StoreError};

/// The kinds that are counted in memory, because requests of programs take from them.
pub const IN_MEMORY: [QuotaKind; 3] =
    [QuotaKind::TestOtps, QuotaKind::Exports, QuotaKind::StoredRefusals];

/// How many counts one transaction writes.
const MAX_WRITTEN: usize = 500;

/// The count of one account.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    /// What all nodes counted, as far as this node knows.
    usage: Usage,
    /// The part of it that is not in the database.
    unwritten: i64,
}

impl Count {
    fn on(self, at_ms: i64) -> Count {
        match self.usage.day == day_of(at_ms) {
            true => self,
            // What was not written of the past day no longer matters.
            false => Count { usage: self.usage.on(at_ms), unwritten: 0 },
        }
    }
}

/// The counts of this node.
#[derive(Debug, Default)]
pub struct Counters {
    counts: DashMap<(QuotaKind, AccountId), Count>,
    is_writing: AtomicBool,
}

impl Counters {
    /// Sets what the database holds for an account.
    pub fn set(&self, kind: QuotaKind, account: AccountId, day: i64, used: i64) {
        let usage = Usage { day, used };
        let count = Count { usage, unwritten: 0 };
        self.counts.insert((kind, account), count);
    }

    /// Counts one action.
    ///
    /// # Errors
    /// If the limit is reached; nothing is counted then.
    pub fn take(
        &self,
        kind: QuotaKind,
        account: AccountId,
        limit: Option<u32>,
        at_ms: i64,
    ) -> Result<(), QuotaExceeded> {
        let mut count = self.counts.entry((kind, account)).or_default();
        *count = count.on(at_ms);
        count.usage = count.usage.take(kind, 1, limit, at_ms)?;
        count.unwritten += 1;
        Ok(())
    }

    /// Subtracts one action.
    pub fn give_back(&self, kind: QuotaKind, account: AccountId, at_ms: i64) {
        if let Some(mut count) = self.counts.get_mut(&(kind, account)) {
            *count = count.on(at_ms);
            if count.usage.used > 0 {
                count.usage = count.usage.give_back(1, at_ms);
                count.unwritten -= 1;
            }
        }
    }

    /// What is counted on the day of `at_ms` and not in the database yet.
    pub fn unwritten(&self, kind: QuotaKind, account: AccountId, at_ms: i64) -> i64 {
        let count = self.counts.get(&(kind, account));
        count.map_or(0, |count| count.on(at_ms).unwritten)
    }

    #[cfg(test)]
    fn used(&self, kind: QuotaKind, account: AccountId, at_ms: i64) -> i64 {
        let count = self.counts.get(&(kind, account));
        count.map_or(0, |count| count.usage.on(at_ms).used)
    }

    /// Removes counts of past days.
    pub fn remove_past(&self, at_ms: i64) {
        self.counts.retain(|_, count| count.usage.day == day_of(at_ms));
    }

    /// Adds what is not in the database to it, and takes over what other nodes added there.
    ///
    /// # Errors
    /// Those of the database; what was not written is written by the next call.
    pub async fn write(&self, store: &Store, at_ms: i64) -> Result<(), StoreError> {
        // Two writers would add the same counts twice.
        if self.is_writing.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let _writing = Writing(&self.is_writing);
        let deltas: Vec<QuotaDelta> = self
            .counts
            .iter()
            .filter(|count| count.unwritten != 0 && count.usage.day == day_of(at_ms))
            .map(|count| QuotaDelta {
                kind: count.key().0,
                account: count.key().1,
                day: count.usage.day,
                count: count.unwritten,
            })
            .collect();
        for deltas in deltas.chunks(MAX_WRITTEN) {
            let used = store.accounts().add_quota_uses(deltas).await?;
            for (delta, used) in deltas.iter().zip(used) {
                self.written(delta, used);
            }
        }
        Ok(())
    }

    /// Records that `delta` is in the database, which now holds `used`.
    fn written(&self, delta: &QuotaDelta, used: i64) {
        let Some(mut count) = self.counts.get_mut(&(delta.kind, delta.account)) else {
            return;
        };
        if count.usage.day == delta.day {
            count.unwritten -= delta.count;
            count.usage.used = (used + count.unwritten).max(0);
        }
    }
}

/// A write in progress, until it is dropped.
struct Writing<'a>(&'a AtomicBool);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NOON: i64 = 1_779_710_400_000;
    const KIND: QuotaKind = QuotaKind::TestOtps;

    fn account() -> AccountId {
        AccountId(Uuid::from_u128(7))
    }

    #[test]
    fn counts_of_other_nodes_are_taken_over_with_what_was_counted_meanwhile() {
        let counters = Counters::default();
        for _ in 0..3 {
            counters.take(KIND, account(), Some(10), NOON).unwrap();
        }
        let delta = QuotaDelta { kind: KIND, account: account(), day: day_of(NOON), count: 3 };
        // One more during the write; the other node had added 5.
        counters.take(KIND, account(), Some(10), NOON).unwrap();
        counters.written(&delta, 8);
        assert_eq!(counters.used(KIND, account(), NOON), 9);
        counters.take(KIND, account(), Some(10), NOON).unwrap();
        assert!(counters.take(KIND, account(), Some(10), NOON).is_err());
        counters.give_back(KIND, account(), NOON);
        counters.take(KIND, account(), Some(10), NOON).unwrap();
    }

    #[test]
    fn a_new_day_starts_at_zero() {
        let counters = Counters::default();
        counters.set(KIND, account(), day_of(NOON), 10);
        let refused = counters.take(KIND, account(), Some(10), NOON).unwrap_err();
        let tomorrow = refused.resets_at_ms;
        counters.take(KIND, account(), Some(10), tomorrow).unwrap();
        assert_eq!(counters.used(KIND, account(), tomorrow), 1);
        counters.remove_past(tomorrow + 86_400_000);
        assert!(counters.counts.is_empty());
    }
}
