//! Starts the actors and background tasks of one node, in the order that a restart needs.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle};
use arc_swap::ArcSwap;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_entities::store::cluster::changes::Change;
use nexo_entities::store::{Store, StoreError};
use tokio::sync::Notify;

use crate::dispatch::live_deliveries::LiveDeliveries;
use crate::dispatch::short_wallets::ShortWallets;
use crate::dispatch::{CarrierRoute, DispatchSettings, Dispatcher};
use crate::jobs::{daily_stats, disk_space, privacy, retention, verifications};
use crate::node::changes;
use crate::node::changes::{Follower, Freshness};
use crate::node::lease::Lease;
use crate::recovery::{reaper, takeover};
use crate::supervision::handle::Handle;
use crate::supervision::supervisor::{Health, Supervisor};
use crate::task_set::TaskSet;
use crate::trunk::admission::Admission;
use crate::trunk::carrier;
use crate::trunk::carrier::{CarrierActor, Line, Trunk, load_held_windows, read_held_windows};
use crate::trunk::live_trunk::LiveTrunk;
use crate::trunk::meters::CarrierMeters;
use crate::wallet::{ForgetAll, ForgetWallet, Wallet, Wallets};
use crate::webhook::client::WebhookClient;
use crate::webhook::{Wake, WebhookActor, WebhookState};
use crate::{wallet, webhook};

/// What a node is made of.
pub struct EngineParts {
    pub store: Store,
    pub lease: Arc<Lease>,
    /// The deliveries that this process works on.
    pub live: Arc<LiveDeliveries>,
    /// One for each carrier of the numbering plan, in [`Carrier::all`]'s order.
    pub trunks: Vec<Trunk>,
    pub line: Arc<dyn Line>,
    pub settings: DispatchSettings,
    /// How long after the end of its lease a node's call may still last.
    pub max_call: Duration,
    pub webhooks: WebhookClient,
    /// The number of wallet actors. SQLite allows one writer, so one is best there.
    pub wallet_lanes: usize,
    /// After how many days phones are masked. 0: never.
    pub mask_phones_after_days: u32,
    /// After how many days records of test keys are deleted. 0: never.
    pub test_deliveries_days: u32,
    /// Called with the name of a role that restarts so often that another restart does not help.
    pub escalate: Box<dyn Fn(&str)>,
    /// Called for each change that a command or another node made.
    pub on_change: Box<dyn Fn(&Change)>,
    /// Called when changes may have been missed.
    pub on_gap: Box<dyn Fn()>,
    /// Updated whenever the change feed is read.
    pub freshness: Arc<Freshness>,
}

/// A running node.
pub struct Engine {
    pub dispatcher: Arc<Dispatcher>,
    pub webhooks: Handle<WebhookActor>,
    pub webhook_state: Arc<WebhookState>,
    pub health: Arc<Health>,
    pub live: Arc<LiveDeliveries>,
    tasks: TaskSet,
}

impl Engine {
    /// Stops the background tasks: supervision, recovery, jobs and the change feed. Afterwards none of them holds a
    /// database connection.
    pub async fn stop(self) {
        self.tasks.stop().await;
    }

    /// Starts the actors and the background tasks on this actix system.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(parts: EngineParts) -> Result<Engine, StoreError> {
        let last_change = parts.store.cluster().last_change().await?;
        let mut supervisor = Supervisor::default();
        let webhook_state = Arc::<WebhookState>::default();
        let webhooks = spawn_webhook_actor(&mut supervisor, &parts, &webhook_state);
        let lanes: Vec<ArbiterHandle> =
            (0..parts.wallet_lanes.max(1)).map(|_| Arbiter::new().handle()).collect();
        let wallets = spawn_wallets(&mut supervisor, &parts, &lanes, &webhooks);
        let carriers = spawn_carriers(&mut supervisor, &parts, &lanes[0]).await?;
        let short_wallets = Arc::<ShortWallets>::default();
        let dispatcher = Arc::new(Dispatcher {
            carriers,
            wallets: wallets.clone(),
            short_wallets: Arc::clone(&short_wallets),
            lanes,
            live: Arc::clone(&parts.live),
            in_flight: Arc::default(),
            lease: Arc::clone(&parts.lease),
            pending_starts: Arc::default(),
            settings: ArcSwap::from_pointee(parts.settings),
        });
        #[cfg(debug_assertions)]
        crate::test_hooks::panics::listen(Arc::clone(&dispatcher), webhooks.clone());
        let health = Arc::new(Health::default());
        let mut tasks = TaskSet::default();
        spawn_recovery(&mut tasks, &parts);
        spawn_jobs(&mut tasks, &parts);
        let live = Arc::clone(&parts.live);
        tasks.spawn(supervisor.run(Arc::clone(&health), parts.escalate));
        let follower = Follower {
            on_change: on_change(
                wallets.clone(),
                Arc::clone(&short_wallets),
                webhooks.clone(),
                parts.on_change,
            ),
            on_gap: on_gap(wallets, short_wallets, parts.on_gap),
            freshness: parts.freshness,
        };
        let wake = Arc::new(Notify::new());
        tasks.spawn(changes::listen(parts.store.clone(), Arc::clone(&wake)));
        tasks.spawn(changes::follow(parts.store, last_change, wake, follower));
        Ok(Engine { dispatcher, webhooks, webhook_state, health, live, tasks })
    }
}

fn spawn_recovery(tasks: &mut TaskSet, parts: &EngineParts) {
    let (store, lease) = (&parts.store, &parts.lease);
    let refund = parts.settings.refund;
    tasks.spawn(reaper::reap(store.clone(), Arc::clone(lease), Arc::clone(&parts.live), refund));
    let is_alone = lease.remaining().is_none();
    if !is_alone {
        let (store, lease) = (store.clone(), Arc::clone(lease));
        let max_call = parts.max_call;
        tasks.spawn(takeover::take_over_dead_nodes(store, lease, max_call, refund));
    }
}

fn spawn_jobs(tasks: &mut TaskSet, parts: &EngineParts) {
    tasks.spawn(daily_stats::update_daily_stats(parts.store.clone()));
    tasks.spawn(disk_space::watch_disk_space(parts.store.clone()));
    tasks.spawn(verifications::mark_expired_verifications(parts.store.clone()));
    let after_days = parts.mask_phones_after_days;
    if after_days > 0 {
        tasks.spawn(privacy::mask_phones(parts.store.clone(), after_days));
    }
    let test_days = parts.test_deliveries_days;
    if test_days > 0 {
        let store = parts.store.clone();
        tasks.spawn(retention::delete_test_records(store, test_days));
    }
}

/// Passes a change to the actors that cache what it changes, then to `next`.
fn on_change(
    wallets: Wallets,
    short_wallets: Arc<ShortWallets>,
    webhooks: Handle<WebhookActor>,
    next: Box<dyn Fn(&Change)>,
) -> Box<dyn Fn(&Change)> {
    Box::new(move |change| {
        match change {
            Change::Account(account) | Change::Wallet(account) | Change::Endpoints(account) => {
                let _ = wallets.of(*account).try_send(ForgetWallet(*account));
                short_wallets.forget(*account);
            }
            Change::WebhookAttempt(_) => {
                let _ = webhooks.try_send(Wake);
            }
            Change::Key(_) | Change::Integration(_) | Change::Ports(_) | Change::Gateways(_) => {}
        }
        next(change);
    })
}

/// Clears the caches of all wallet actors, then calls `next`.
fn on_gap(
    wallets: Wallets,
    short_wallets: Arc<ShortWallets>,
    next: Box<dyn Fn()>,
) -> Box<dyn Fn()> {
    Box::new(move || {
        for wallet in wallets.all() {
            let _ = wallet.try_send(ForgetAll);
        }
        short_wallets.forget_all();
        next();
    })
}

fn spawn_webhook_actor(
    supervisor: &mut Supervisor,
    parts: &EngineParts,
    state: &Arc<WebhookState>,
) -> Handle<WebhookActor> {
    let (store, client) = (parts.store.clone(), parts.webhooks.clone());
    let (lease, state) = (Arc::clone(&parts.lease), Arc::clone(state));
    supervisor.spawn("webhook", webhook::MAILBOX_CAPACITY, move |guard| {
        WebhookActor::new(
            store.clone(),
            Arc::clone(&lease),
            client.clone(),
            Arc::clone(&state),
            guard,
        )
    })
}

fn spawn_wallets(
    supervisor: &mut Supervisor,
    parts: &EngineParts,
    lanes: &[ArbiterHandle],
    webhooks: &Handle<WebhookActor>,
) -> Wallets {
    let wallets = lanes.iter().enumerate().map(|(lane, thread)| {
        let (store, lease) = (parts.store.clone(), Arc::clone(&parts.lease));
        let webhooks = webhooks.clone();
        supervisor.spawn_on(
            thread,
            &format!("wallet-{lane}"),
            wallet::MAILBOX_CAPACITY,
            move |guard| Wallet::new(store.clone(), Arc::clone(&lease), webhooks.clone(), guard),
        )
    });
    Wallets::new(wallets.collect())
}

/// The work of carrier actors is short. They share the thread of the first lane, where all sagas run on SQLite.
async fn spawn_carriers(
    supervisor: &mut Supervisor,
    parts: &EngineParts,
    thread: &ArbiterHandle,
) -> Result<Vec<CarrierRoute>, StoreError> {
    // The windows must be known before the first request, not only before the actors' first messages.
    let windows = read_held_windows(&parts.store, parts.lease.window_clock()).await?;
    let mut routes = Vec::new();
    for (carrier, trunk) in Carrier::all().zip(&parts.trunks) {
        let admission = Admission::new(trunk.channels, trunk.calls_per_second);
        load_held_windows(&windows, &admission, carrier);
        let route = spawn_carrier(supervisor, parts, thread, trunk, admission);
        routes.push(route);
    }
    Ok(routes)
}

fn spawn_carrier(
    supervisor: &mut Supervisor,
    parts: &EngineParts,
    thread: &ArbiterHandle,
    trunk: &Trunk,
    admission: Arc<Admission>,
) -> CarrierRoute {
    let trunk = LiveTrunk::new(trunk.clone());
    let carrier = trunk.carrier;
    let name = carrier.name();
    let (store, line) = (parts.store.clone(), Arc::clone(&parts.line));
    let lease = Arc::clone(&parts.lease);
    let tables = Arc::clone(&admission);
    let actor = supervisor.spawn_on(
        thread,
        &format!("carrier-{name}"),
        carrier::MAILBOX_CAPACITY,
        move |guard| {
            CarrierActor::new(
                carrier,
                Arc::clone(&tables),
                Arc::clone(&line),
                Arc::clone(&lease),
                store.clone(),
                guard,
            )
        },
    );
    CarrierRoute { trunk, admission, actor, meters: Arc::new(CarrierMeters::new(name)) }
}
