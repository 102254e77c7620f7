//! The API keys in memory, so that a warm request asks no database.
//!
//! A key is read at its first use and kept until the change feed says that something about it
//! changed. An answer read from the database before a change and kept after it would never be
//! corrected, so a change also voids the look-ups that are under way. While the feed cannot be read, or the
//! process stood still, the database is asked for each request: a revoked key must not be let in meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use ipnet::IpNet;
use nexo_actors::node::changes::Freshness;
use nexo_domain::account::api_key::{ApiKey, KeyHash, KeyMode};
use nexo_domain::account::client_ip::parse_entry;
use nexo_domain::ids::{AccountId, KeyId};
use nexo_domain::otp::Language;
use nexo_entities::store::{Store, StoreError};

/// The most keys that are kept; past it the ring is emptied and fills again.
const MOST_KEYS: usize = 200_000;
/// How often it is written when keys were last used.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// How many keys share a statement then.
const NOTED_AT_ONCE: usize = 500;

/// An active key of an open account.
#[derive(Debug)]
pub struct Key {
    pub key_id: KeyId,
    pub account_id: AccountId,
    pub test: bool,
    pub allowlist: Vec<IpNet>,
    /// The account's own language, where it chose one.
    pub language: Option<Language>,
    /// When it was last used, where that is not written yet; else 0.
    used_at_ms: AtomicI64,
}

impl Key {
    /// It lets a request in.
    pub fn used(&self, at_ms: i64) {
        self.used_at_ms.store(at_ms, Ordering::Relaxed);
    }

    fn take_use(&self) -> Option<(KeyId, i64)> {
        match self.used_at_ms.swap(0, Ordering::Relaxed) {
            0 => None,
            at_ms => Some((self.key_id, at_ms)),
        }
    }
}

/// The keys that were used lately.
#[derive(Debug)]
pub struct KeyRing {
    keys: DashMap<KeyHash, Arc<Key>>,
    /// When keys were last used that the ring has forgotten since, or that could not be written.
    unwritten: Mutex<HashMap<KeyId, i64>>,
    changes: AtomicU64,
    freshness: Arc<Freshness>,
}

impl KeyRing {
    /// A ring whose keys are relied on while the change feed is read.
    pub fn new(freshness: Arc<Freshness>) -> KeyRing {
        KeyRing {
            keys: DashMap::new(),
            unwritten: Mutex::default(),
            changes: AtomicU64::new(0),
            freshness,
        }
    }

    /// The key of this text: from memory, else from the database. `None` when there is no such
    /// active key.
    pub async fn find(&self, key: &ApiKey, store: &Store) -> Result<Option<Arc<Key>>, StoreError> {
        let hash = key.hash();
        if self.freshness.is_fresh()
            && let Some(known) = self.keys.get(&hash)
        {
            return Ok(Some(Arc::clone(&known)));
        }
        let changes = self.changes.load(Ordering::Acquire);
        let Some(record) = store.key_by_hash(&hash).await? else {
            return Ok(None);
        };
        if record.revoked || record.test != (key.mode() == KeyMode::Test) {
            return Ok(None);
        }
        // An unreadable entry must not open a restricted key, so it matches nothing.
        let allowlist = record
            .allowlist
            .iter()
            .filter_map(|entry| parse_entry(entry).ok())
            .collect::<Vec<_>>();
        if allowlist.is_empty() && !record.allowlist.is_empty() {
            return Ok(None);
        }
        let found = Arc::new(Key {
            key_id: record.key_id,
            account_id: record.account_id,
            test: record.test,
            allowlist,
            language: record.language,
            used_at_ms: AtomicI64::new(0),
        });
        if self.keys.len() >= MOST_KEYS {
            self.retain(|_| false);
        }
        let before = self.keys.insert(hash, Arc::clone(&found));
        self.keep(before.and_then(|before| before.take_use()));
        if self.changes.load(Ordering::Acquire) != changes {
            self.keys.remove(&hash);
        }
        Ok(Some(found))
    }

    /// Forgets all keys.
    pub fn forget_all(&self) {
        self.forget(|_| true);
    }

    /// Forgets what is known of one key.
    pub fn forget_key(&self, key_id: KeyId) {
        self.forget(|key| key.key_id == key_id);
    }

    /// Forgets all keys of an account.
    pub fn forget_account(&self, account_id: AccountId) {
        self.forget(|key| key.account_id == account_id);
    }

    fn forget(&self, is_meant: impl Fn(&Key) -> bool) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.retain(|key| !is_meant(key));
    }

    fn retain(&self, stays: impl Fn(&Key) -> bool) {
        let mut uses = Vec::new();
        self.keys.retain(|_, key| {
            let stays = stays(key);
            if !stays {
                uses.extend(key.take_use());
            }
            stays
        });
        self.keep(uses);
    }

    /// Of one key the latest use.
    fn keep(&self, uses: impl IntoIterator<Item = (KeyId, i64)>) {
        let mut unwritten = self.unwritten();
        for (key, at_ms) in uses {
            let last = unwritten.entry(key).or_insert(at_ms);
            *last = at_ms.max(*last);
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, HashMap<KeyId, i64>> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes when keys were last used. What is not known to be written is kept, for the next time: also where
    /// this is given up midway.
    pub async fn write_uses(&self, store: &Store) {
        if store.stopped().is_some() {
            return;
        }
        self.keep(self.keys.iter().filter_map(|key| key.take_use()));
        let uses: Vec<(KeyId, i64)> = self.unwritten().iter().map(|(k, at)| (*k, *at)).collect();
        for some in uses.chunks(NOTED_AT_ONCE) {
            match store.note_key_use(some).await {
                Ok(()) => {
                    let mut unwritten = self.unwritten();
                    for (key, at_ms) in some {
                        // Unless it was used again meanwhile.
                        if unwritten.get(key) == Some(at_ms) {
                            unwritten.remove(key);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "it is not written yet when keys were last used");
                }
            }
        }
    }
}

/// Writes when keys were last used, again and again.
pub async fn note_uses(keys: Arc<KeyRing>, store: Store) {
    let mut due = tokio::time::interval(NOTE_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        keys.write_uses(&store).await;
    }
}
