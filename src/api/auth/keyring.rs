//! A cache of API keys, so that a warm request reads no database.
//!
//! A key is read at its first use and cached until the change feed reports a change to it. A look-up that began
//! before a change must not be cached after it, so a change also invalidates look-ups in progress. While the
//! feed cannot be read, or after the process was suspended, every request reads the database: a revoked key must
//! not be accepted meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use ipnet::IpNet;
use nexo_actors::node::changes::Freshness;
use nexo_domain::account::api_key::{ApiKey, KeyHash, KeyMode};
use nexo_domain::account::client_ip::parse_entry;
use nexo_domain::ids::{AccountId, IntegrationId, KeyId};
use nexo_domain::otp::Language;
use nexo_entities::store::{Store, StoreError};
use parking_lot::Mutex;

use crate::api::hooks::registry::Integrations;

/// Capacity of the cache. When it is full, the cache is emptied.
const MAX_KEYS: usize = 200_000;
/// How often the times of last use are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// How many keys one statement updates.
const MAX_KEYS_PER_UPDATE: usize = 500;

/// An active key of an open account, which may be suspended.
#[derive(Debug)]
pub struct Key {
    pub key_id: KeyId,
    pub account_id: AccountId,
    pub test: bool,
    /// Whether the account is suspended: its keys are refused.
    pub is_suspended: bool,
    pub allowlist: Vec<IpNet>,
    /// The account's language, if it chose one.
    pub language: Option<Language>,
    /// The last use that is not written yet, in Unix milliseconds; 0 without one.
    unwritten_use_ms: AtomicI64,
}

impl Key {
    /// A test key by its id, for an OTP that its owner sends from the site. The allowlist is about the API.
    pub fn of_test_key(key_id: KeyId, account_id: AccountId, language: Option<Language>) -> Key {
        Key {
            key_id,
            account_id,
            test: true,
            is_suspended: false,
            allowlist: Vec::new(),
            language,
            unwritten_use_ms: AtomicI64::new(0),
        }
    }

    /// The integration in place of a key.
    pub fn of_integration(
        id: IntegrationId,
        account_id: AccountId,
        is_suspended: bool,
        language: Option<Language>,
    ) -> Key {
        Key {
            key_id: KeyId(id.0),
            account_id,
            test: false,
            is_suspended,
            allowlist: Vec::new(),
            language,
            unwritten_use_ms: AtomicI64::new(0),
        }
    }

    /// Records a use. A single atomic store: this is on the hot path.
    pub fn record_use(&self, at_ms: i64) {
        self.unwritten_use_ms.store(at_ms, Ordering::Relaxed);
    }

    fn take_use(&self) -> Option<(KeyId, i64)> {
        match self.unwritten_use_ms.swap(0, Ordering::Relaxed) {
            0 => None,
            at_ms => Some((self.key_id, at_ms)),
        }
    }
}

/// The cache of recently used keys.
#[derive(Debug)]
pub struct KeyRing {
    keys: DashMap<KeyHash, Arc<Key>>,
    /// The keys that are being read. Hundreds of first requests with one key must not read the database at once.
    reading: DashMap<KeyHash, Arc<tokio::sync::Mutex<()>>>,
    /// Last uses of keys that left the cache, or whose write failed.
    unwritten: Mutex<HashMap<KeyId, i64>>,
    changes: AtomicU64,
    freshness: Arc<Freshness>,
}

impl KeyRing {
    /// An empty cache. Its keys count while `freshness` says that the change feed is read.
    pub fn new(freshness: Arc<Freshness>) -> KeyRing {
        KeyRing {
            keys: DashMap::new(),
            reading: DashMap::new(),
            unwritten: Mutex::default(),
            changes: AtomicU64::new(0),
            freshness,
        }
    }

    /// The active key with this text, from memory or from the database.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn find(&self, key: &ApiKey, store: &Store) -> Result<Option<Arc<Key>>, StoreError> {
        let hash = key.hash();
        if let Some(known) = self.known(&hash) {
            return Ok(Some(known));
        }
        // A cache that does not count would let one wait for the other for nothing.
        let gate = self.freshness.is_fresh().then(|| Gate::of(self, hash));
        let _turn = match &gate {
            Some(gate) => Some(gate.lock.lock().await),
            None => None,
        };
        if let Some(known) = self.known(&hash) {
            return Ok(Some(known));
        }
        let changes = self.changes.load(Ordering::Acquire);
        let Some(record) = store.accounts().key_by_hash(&hash).await? else {
            return Ok(None);
        };
        if record.revoked || record.test != (key.mode() == KeyMode::Test) {
            return Ok(None);
        }
        // Unreadable entries match nothing: they must not lift the restriction.
        let allowlist =
            record.allowlist.iter().filter_map(|entry| parse_entry(entry).ok()).collect::<Vec<_>>();
        if allowlist.is_empty() && !record.allowlist.is_empty() {
            return Ok(None);
        }
        let found = Arc::new(Key {
            key_id: record.key_id,
            account_id: record.account_id,
            test: record.test,
            is_suspended: record.suspended,
            allowlist,
            language: record.language,
            unwritten_use_ms: AtomicI64::new(0),
        });
        if self.keys.len() >= MAX_KEYS {
            self.retain(|_| false);
        }
        let before = self.keys.insert(hash, Arc::clone(&found));
        self.remember(before.and_then(|before| before.take_use()));
        if self.changes.load(Ordering::Acquire) != changes {
            self.keys.remove(&hash);
        }
        Ok(Some(found))
    }

    /// The key in memory, if the cache counts.
    fn known(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        let known = self.freshness.is_fresh().then(|| self.keys.get(hash)).flatten();
        known.map(|known| Arc::clone(&known))
    }

    /// Forgets all keys.
    pub fn forget_all(&self) {
        self.forget(|_| true);
    }

    /// Forgets one key.
    pub fn forget_key(&self, key_id: KeyId) {
        self.forget(|key| key.key_id == key_id);
    }

    /// Forgets all keys of an account.
    pub fn forget_account(&self, account_id: AccountId) {
        self.forget(|key| key.account_id == account_id);
    }

    fn forget(&self, matches: impl Fn(&Key) -> bool) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.retain(|key| !matches(key));
    }

    fn retain(&self, is_kept: impl Fn(&Key) -> bool) {
        let mut uses = Vec::new();
        self.keys.retain(|_, key| {
            let is_kept = is_kept(key);
            if !is_kept {
                uses.extend(key.take_use());
            }
            is_kept
        });
        self.remember(uses);
    }

    /// Remembers uses for the next write; only the latest of each key counts.
    fn remember(&self, uses: impl IntoIterator<Item = (KeyId, i64)>) {
        let mut unwritten = self.unwritten.lock();
        for (key, at_ms) in uses {
            let last = unwritten.entry(key).or_insert(at_ms);
            *last = at_ms.max(*last);
        }
    }

    /// Writes the times of last use. A time stays remembered until its write has succeeded, also if this future is
    /// dropped.
    pub async fn write_uses(&self, store: &Store) {
        if store.stop_reason().is_some() {
            return;
        }
        self.remember(self.keys.iter().filter_map(|key| key.take_use()));
        let uses: Vec<(KeyId, i64)> =
            self.unwritten.lock().iter().map(|(k, at)| (*k, *at)).collect();
        for batch in uses.chunks(MAX_KEYS_PER_UPDATE) {
            match store.accounts().record_key_use(batch).await {
                Ok(()) => {
                    let mut unwritten = self.unwritten.lock();
                    for (key, at_ms) in batch {
                        // Keep it if the key was used again meanwhile.
                        if unwritten.get(key) == Some(at_ms) {
                            unwritten.remove(key);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "writing the last uses of API keys failed; trying again");
                }
            }
        }
    }
}

/// The requests that look up one key at the same time: one reads, the others find it in memory.
struct Gate<'r> {
    ring: &'r KeyRing,
    hash: KeyHash,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl Gate<'_> {
    fn of(ring: &KeyRing, hash: KeyHash) -> Gate<'_> {
        let lock = Arc::clone(&ring.reading.entry(hash).or_default());
        Gate { ring, hash, lock }
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        // The last one removes it: the map has one reference, and this gate the other.
        self.ring.reading.remove_if(&self.hash, |_, lock| Arc::strong_count(lock) <= 2);
    }
}

/// Writes the times of last use periodically, until it is dropped.
pub async fn write_uses_periodically(
    keys: Arc<KeyRing>,
    integrations: Arc<Integrations>,
    store: Store,
) {
    let mut due = tokio::time::interval(WRITE_INTERVAL);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        keys.write_uses(&store).await;
        integrations.write_uses(&store).await;
    }
}
