//! What the HTTP side caches of the database, and how it follows changes made elsewhere.

use std::sync::{Arc, OnceLock};

use nexo_actors::dispatch::Dispatcher;
use nexo_actors::node::changes::Freshness;
use nexo_entities::store::cluster::changes::Change;
use nexo_entities::store::{Store, StoreError};

use crate::api::auth::keyring::KeyRing;
use crate::api::hooks::registry::Integrations;
use crate::api::otp::routing::Routing;
use crate::integrations::HookKeys;
use crate::quotas::Quotas;
use crate::trunks;

/// The caches, and the dispatcher whose gateways may be drained.
pub(super) struct Caches {
    pub keys: Arc<KeyRing>,
    pub integrations: Arc<Integrations>,
    pub routing: Arc<Routing>,
    pub freshness: Arc<Freshness>,
    quotas: Arc<Quotas>,
    store: Store,
    /// Set once the engine runs; changes before that are part of what it loads.
    dispatcher: OnceLock<Arc<Dispatcher>>,
}

impl Caches {
    /// Loads the ported numbers; API keys and integrations are read at their first use.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn load(
        store: &Store,
        quotas: Arc<Quotas>,
        hook_keys: HookKeys,
    ) -> Result<Arc<Caches>, StoreError> {
        let freshness = Arc::new(Freshness::default());
        Ok(Arc::new(Caches {
            keys: Arc::new(KeyRing::new(Arc::clone(&freshness))),
            integrations: Arc::new(Integrations::new(Arc::clone(&freshness), hook_keys)),
            routing: Arc::new(Routing::load(store).await?),
            freshness,
            quotas,
            store: store.clone(),
            dispatcher: OnceLock::new(),
        }))
    }

    /// Lets changes to drained gateways reach the dispatcher's trunks.
    pub fn follow_drains(&self, dispatcher: &Arc<Dispatcher>) {
        let _ = self.dispatcher.set(Arc::clone(dispatcher));
    }

    /// Handles a change that a command or another node made.
    pub fn on_change(self: &Arc<Self>, change: &Change) {
        match change {
            Change::Account(account) => {
                self.keys.forget_account(*account);
                self.integrations.forget_account(*account);
                self.reload_own_limits();
            }
            Change::Key(key) => self.keys.forget_key(*key),
            Change::Integration(id) => self.integrations.forget_one(*id),
            Change::Ports(_) => self.reload_ports(),
            Change::Gateways(_) => self.reload_drains(),
            Change::Wallet(_) | Change::Endpoints(_) | Change::WebhookAttempt(_) => {}
        }
    }

    /// Handles a gap in the change feed: any change may have been missed.
    pub fn forget_all(self: &Arc<Self>) {
        self.keys.forget_all();
        self.integrations.forget_all();
        self.reload_own_limits();
        self.reload_ports();
    }

    fn reload_own_limits(self: &Arc<Self>) {
        let quotas = Arc::clone(&self.quotas);
        actix_web::rt::spawn(async move {
            if let Err(error) = quotas.reload_own_limits().await {
                tracing::warn!(%error, "reading accounts' own limits failed; the old ones stay in force");
            }
        });
    }

    fn reload_ports(self: &Arc<Self>) {
        let caches = Arc::clone(self);
        actix_web::rt::spawn(async move {
            if let Err(error) = caches.routing.reload(&caches.store).await {
                tracing::warn!(%error, "reading the ported numbers failed; the old set stays in force");
            }
        });
    }

    fn reload_drains(self: &Arc<Self>) {
        let caches = Arc::clone(self);
        actix_web::rt::spawn(async move {
            if let Some(dispatcher) = caches.dispatcher.get() {
                let trunks: Vec<_> =
                    dispatcher.carriers.iter().map(|r| r.trunk.current()).collect();
                trunks::apply_drains(trunks.iter().map(Arc::as_ref), &caches.store).await;
            }
        });
    }
}
