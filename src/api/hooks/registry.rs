//! A cache of integrations, so that a warm hook reads no database.
//!
//! An integration is read at its first use and cached until the change feed reports a change to it or its account. A
//! look-up that began before a change must not be cached after it. While the feed cannot be read, every request reads the
//! database: a removed integration must not be accepted meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use metrics::{Counter, counter};
use nexo_actors::node::changes::Freshness;
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::ids::{AccountId, IntegrationId};
use nexo_domain::integration::proof::{Proven, Verifier};
use nexo_domain::integration::{HookBody, Kind, ring};
use nexo_entities::store::accounts::integrations::IntegrationRecord;
use nexo_entities::store::{Store, StoreError};

use super::once::Ring;
use crate::api::auth::keyring::Key;
use crate::api::error::ApiError;
use crate::api::otp::order::Request;
use crate::integrations::HookKeys;

/// Capacity of the cache. When it is full, the cache is emptied.
const MAX_INTEGRATIONS: usize = 100_000;
/// How many integrations one statement updates.
const MAX_PER_UPDATE: usize = 500;

/// An integration of an open account, which may be suspended.
#[derive(Debug)]
pub struct HookIntegration {
    pub id: IntegrationId,
    /// What it authorizes.
    pub key: Key,
    pub body: HookBody,
    pub verifier: Verifier,
}

impl HookIntegration {
    /// `None` if the secret cannot be decrypted.
    fn of(id: IntegrationId, record: IntegrationRecord, keys: &HookKeys) -> Option<Self> {
        let verifier = keys.verifier(id, record.body.kind(), &record.secret)?;
        Some(HookIntegration {
            id,
            key: Key::of_integration(id, record.account_id, record.suspended, record.language),
            body: record.body,
            verifier,
        })
    }
}

/// The cache of recently used integrations.
pub struct Integrations {
    known: DashMap<IntegrationId, Arc<HookIntegration>>,
    /// The last uses that are not written yet, in Unix milliseconds.
    unwritten: DashMap<IntegrationId, i64>,
    changes: AtomicU64,
    freshness: Arc<Freshness>,
    keys: HookKeys,
    pub(super) meters: HookMeters,
}

impl Integrations {
    /// An empty cache. Its integrations count while `freshness` says that the change feed is read.
    pub fn new(freshness: Arc<Freshness>, keys: HookKeys) -> Integrations {
        Integrations {
            known: DashMap::new(),
            unwritten: DashMap::new(),
            changes: AtomicU64::new(0),
            freshness,
            keys,
            meters: HookMeters::new(),
        }
    }

    /// The integration with this id, from memory or from the database.
    ///
    /// # Errors
    /// Those of the database; [`StoreError::Unreadable`] if the secret cannot be decrypted.
    pub async fn find(
        &self,
        id: IntegrationId,
        store: &Store,
    ) -> Result<Option<Arc<HookIntegration>>, StoreError> {
        let known = self.freshness.is_fresh().then(|| self.known.get(&id)).flatten();
        if let Some(known) = known {
            return Ok(Some(Arc::clone(&known)));
        }
        let changes = self.changes.load(Ordering::Acquire);
        let Some(record) = store.accounts().integration_record(id).await? else {
            return Ok(None);
        };
        let found = HookIntegration::of(id, record, &self.keys)
            .ok_or(StoreError::Unreadable { table: "integrations", column: "secret" })?;
        let found = Arc::new(found);
        if self.known.len() >= MAX_INTEGRATIONS {
            self.known.clear();
        }
        self.known.insert(id, Arc::clone(&found));
        if self.changes.load(Ordering::Acquire) != changes {
            self.known.remove(&id);
        }
        Ok(Some(found))
    }

    /// The keys of this installation.
    pub fn keys(&self) -> &HookKeys {
        &self.keys
    }

    /// What makes two requests the same.
    pub(super) fn identity(
        &self,
        integration: &HookIntegration,
        proven: &Proven,
        otp: &Request,
    ) -> IdempotentRequest {
        let key = self.keys.of_codes().unwrap_or(proven.secret());
        ring::request(key, integration.id, otp.phone, &otp.code)
    }

    /// Forgets all integrations.
    pub fn forget_all(&self) {
        self.forget(|_| true);
    }

    /// Forgets one integration.
    pub fn forget_one(&self, id: IntegrationId) {
        self.forget(|known| known.id == id);
    }

    /// Forgets all integrations of an account.
    pub fn forget_account(&self, account: AccountId) {
        self.forget(|known| known.key.account_id == account);
    }

    fn forget(&self, matches: impl Fn(&HookIntegration) -> bool) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.known.retain(|_, known| !matches(known));
    }

    pub(super) fn record_use(&self, id: IntegrationId, at_ms: i64) {
        self.unwritten.insert(id, at_ms);
    }

    /// Writes the times of last use. A time stays remembered until its write has succeeded.
    pub async fn write_uses(&self, store: &Store) {
        if store.stop_reason().is_some() {
            return;
        }
        let uses: HashMap<IntegrationId, i64> =
            self.unwritten.iter().map(|use_| (*use_.key(), *use_.value())).collect();
        let uses: Vec<(IntegrationId, i64)> = uses.into_iter().collect();
        for batch in uses.chunks(MAX_PER_UPDATE) {
            match store.accounts().record_integration_use(batch).await {
                Ok(()) => {
                    for (id, at_ms) in batch {
                        // Keep it if the integration was used again meanwhile.
                        self.unwritten.remove_if(id, |_, last| last == at_ms);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "writing the last uses of integrations failed; trying again");
                }
            }
        }
    }
}

/// Hook requests by kind and outcome.
pub(super) struct HookMeters {
    /// By the index in [`Kind::ALL`]: accepted, and replayed.
    succeeded: [[Counter; 2]; Kind::ALL.len()],
}

impl HookMeters {
    fn new() -> HookMeters {
        let counters = |kind| ["accepted", "replayed"].map(|outcome| requests(kind, outcome));
        HookMeters { succeeded: Kind::ALL.map(counters) }
    }

    pub fn count(&self, kind: Kind, rang: &Result<Ring, ApiError>) {
        let of_kind = &self.succeeded[kind as usize];
        match rang {
            Ok(Ring::First) => of_kind[0].increment(1),
            Ok(Ring::Replayed) => of_kind[1].increment(1),
            Err(refused) => requests(kind, refused.code()).increment(1),
        }
    }
}

fn requests(kind: Kind, outcome: &'static str) -> Counter {
    counter!("nexo_hook_requests_total", "kind" => kind.name(), "outcome" => outcome)
}
