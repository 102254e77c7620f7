//! What all sagas share: carriers, wallets, settings.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use actix_rt::ArbiterHandle;
use arc_swap::ArcSwap;
use nexo_domain::call::CallLimits;
use nexo_domain::call::outcome::RefundPolicy;
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_entities::store::ledger::posting::IdempotencyWrite;
use tokio::sync::oneshot;

use super::short_wallets::ShortWallets;
use crate::clock;
use crate::dispatch::inflight::InFlightRequests;
use crate::dispatch::live_deliveries::LiveDeliveries;
use crate::node::lease::Lease;
use crate::supervision::handle::Handle;
use crate::trunk::admission::{Admission, Realm};
use crate::trunk::carrier::{CarrierActor, Trunk};
use crate::trunk::live_trunk::LiveTrunk;
use crate::trunk::meters::CarrierMeters;
use crate::wallet::{StoreResponse, Wallets};

/// How long a wallet actor may take to store a response.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a debit may wait for its commit.
pub(super) const DEBIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A carrier as the API and the sagas see it.
#[derive(Clone)]
pub struct CarrierRoute {
    pub trunk: Arc<LiveTrunk>,
    pub admission: Arc<Admission>,
    pub actor: Handle<CarrierActor>,
    pub meters: Arc<CarrierMeters>,
}

/// The settings of dispatching. A reload replaces them; `refund` changes only at the next start.
#[derive(Debug, Clone, Copy)]
pub struct DispatchSettings {
    /// The time for all gateways of an OTP together.
    pub dispatch_timeout: Duration,
    pub limits: CallLimits,
    /// How long a far end of which nothing was heard may refuse our audio. 0: unlimited.
    pub media_timeout: Duration,
    pub refund: RefundPolicy,
}

/// Runs the saga of each OTP. See [`dispatch`](crate::dispatch).
pub struct Dispatcher {
    /// By [`Carrier::index`].
    pub carriers: Vec<CarrierRoute>,
    pub wallets: Wallets,
    pub short_wallets: Arc<ShortWallets>,
    /// The threads of the wallet actors, in their order. The sagas of an account run on the thread of its wallet, so
    /// that a commit wakes one thread for all of them.
    pub lanes: Vec<ArbiterHandle>,
    pub live: Arc<LiveDeliveries>,
    /// The requests with an idempotency key that are in progress.
    pub in_flight: Arc<InFlightRequests>,
    /// Whether this node may accept OTPs and dial.
    pub lease: Arc<Lease>,
    /// How many sagas wait to be started.
    pub pending_starts: Arc<AtomicUsize>,
    pub settings: ArcSwap<DispatchSettings>,
}

impl Dispatcher {
    /// The settings in force.
    pub fn settings(&self) -> DispatchSettings {
        **self.settings.load()
    }

    /// Whether the built-in sandbox answers the calls of live keys.
    pub fn serves_live_keys_by_sandbox(&self) -> bool {
        self.carriers.iter().any(|route| route.trunk.current().live_on_sandbox)
    }

    /// Sets other trunks, limits and settings for the OTPs that arrive from now on. `trunks`: one for each carrier
    /// of the numbering plan, in its order.
    pub fn reconfigure(&self, trunks: Vec<Trunk>, settings: DispatchSettings) {
        self.settings.store(Arc::new(settings));
        for (route, trunk) in self.carriers.iter().zip(trunks) {
            route.admission.set_limits(trunk.channels, trunk.calls_per_second);
            route.trunk.replace(trunk);
        }
    }

    /// Stores a response under an idempotency key. Returns whether it was written, once that is durable. `None`
    /// when that is not known.
    pub async fn store_response(&self, account: AccountId, keep: IdempotencyWrite) -> Option<bool> {
        let (reply, written) = oneshot::channel();
        let order = StoreResponse { keep, reply };
        self.wallets.of(account).try_send(order).ok()?;
        let written = tokio::time::timeout(STORE_TIMEOUT, written).await;
        written.ok()?.ok()
    }

    /// The longest that a client waits for an answer while the store works.
    pub fn answer_timeout(&self) -> Duration {
        DEBIT_TIMEOUT + self.settings().dispatch_timeout
    }

    /// The OTP that holds the phone's live window, as far as this process knows; see [`Admission::holder`].
    pub fn window_holder(&self, carrier: Carrier, phone: Phone) -> Option<DeliveryId> {
        self.route(carrier).admission.holder(Realm::Live, phone, clock::boot_ms())
    }

    /// Forgets that another node holds the phone's live window, which this process knows from `lost`, an OTP of its own.
    /// The database still decides.
    pub fn forget_window(&self, carrier: Carrier, phone: Phone, lost: DeliveryId) {
        self.route(carrier).admission.release(Realm::Live, phone, lost);
    }

    pub(super) fn route(&self, carrier: Carrier) -> &CarrierRoute {
        &self.carriers[carrier.index()]
    }
}
