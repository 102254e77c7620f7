//! The API keys in memory, so that a warm request asks no database.
//!
//! A key is read at its first use and kept until the change feed says that something about it
//! changed. An answer read from the database before a change and kept after it would never be
//! corrected, so a change also voids the look-ups that are under way. While the feed cannot be read, or the
//! process stood still, the database is asked for each request: a revoked key must not be let in meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use ipnet::IpNet;
use nexo_actors::changes::Freshness;
use nexo_domain::api_key::{ApiKey, KeyHash, KeyMode};
use nexo_domain::client_ip::parse_entry;
use nexo_domain::ids::{AccountId, KeyId};
use nexo_domain::otp::Language;
use nexo_entities::store::{Store, StoreError};

/// The most keys that are kept; past it the ring is emptied and fills again.
const MOST_KEYS: usize = 200_000;

/// An active key of an open account.
#[derive(Debug)]
pub struct Key {
    pub key_id: KeyId,
    pub account_id: AccountId,
    pub test: bool,
    pub allowlist: Vec<IpNet>,
    /// The account's own language, where it chose one.
    pub language: Option<Language>,
}

/// The keys that were used lately.
#[derive(Debug)]
pub struct KeyRing {
    keys: DashMap<KeyHash, Arc<Key>>,
    changes: AtomicU64,
    freshness: Arc<Freshness>,
}

impl KeyRing {
    /// A ring whose keys are relied on while the change feed is read.
    pub fn new(freshness: Arc<Freshness>) -> KeyRing {
        KeyRing {
            keys: DashMap::new(),
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
        });
        if self.keys.len() >= MOST_KEYS {
            self.keys.clear();
        }
        self.keys.insert(hash, Arc::clone(&found));
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
        self.keys.retain(|_, key| !is_meant(key));
    }
}
