//! The state of the limiters: one time for each key, for a bounded number of keys.

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use lru::LruCache;
use parking_lot::Mutex;

/// The hash of what is counted.
pub type Key = u128;

/// Keeps the keys that were counted last. A key that is dropped for a newer one starts with a full quota, so a full
/// store never refuses anyone.
pub struct BoundedStore {
    max_keys: usize,
    keys: Mutex<LruCache<Key, Nanos>>,
}

impl BoundedStore {
    pub fn new(max_keys: usize) -> BoundedStore {
        BoundedStore {
            max_keys,
            // Allocates as it grows. `LruCache::new` would allocate for all keys at once.
            keys: Mutex::new(LruCache::unbounded()),
        }
    }
}

impl StateStore for BoundedStore {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut keys = self.keys.lock();
        let before = keys.get(key).copied();
        let (decision, after) = decide(before)?;
        keys.put(*key, after);
        if keys.len() > self.max_keys {
            keys.pop_lru();
        }
        Ok(decision)
    }
}

impl ShrinkableKeyedStateStore<Key> for BoundedStore {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut keys = self.keys.lock();
        while keys.peek_lru().is_some_and(|(_, at)| *at < drop_below) {
            keys.pop_lru();
        }
    }

    fn len(&self) -> usize {
        self.keys.lock().len()
    }

    fn is_empty(&self) -> bool {
        self.keys.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(store: &BoundedStore, key: Key, at: u64) {
        let decide = |_| Ok::<_, ()>(((), Nanos::new(at)));
        store.measure_and_replace(&key, decide).unwrap();
    }

    #[test]
    fn a_full_store_drops_the_key_that_was_counted_longest_ago() {
        let store = BoundedStore::new(2);
        for (key, at) in [(1, 10), (2, 20), (1, 30), (3, 40)] {
            count(&store, key, at);
        }
        let known = |key| store.keys.lock().contains(&key);
        assert!(known(1) && !known(2) && known(3));
    }

    #[test]
    fn keys_without_recent_attempts_are_removed() {
        let store = BoundedStore::new(10);
        for (key, at) in [(1, 10), (2, 20), (3, 30)] {
            count(&store, key, at);
        }
        store.retain_recent(Nanos::new(20));
        assert_eq!(store.len(), 2);
        store.retain_recent(Nanos::new(31));
        assert!(store.is_empty());
    }
}
