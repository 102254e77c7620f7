//! Puts the actors of one node to work, in the order that a restart needs.

use std::sync::Arc;

use actix_rt::task::JoinHandle;
use actix_rt::{Arbiter, ArbiterHandle};
use arc_swap::ArcSwap;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_entities::store::cluster::changes::Change;
use nexo_entities::store::{Store, StoreError};
use tokio::sync::Notify;

use crate::dispatch::inflight::Flights;
use crate::dispatch::live_deliveries::Live;
use crate::dispatch::{CarrierRoute, DispatchDesk, DispatchSettings};
use crate::jobs::{daily_stats, privacy};
use crate::node::changes;
use crate::node::changes::{Follower, Freshness};
use crate::node::lease::Lease;
use crate::recovery::{reaper, takeover};
use crate::supervision::supervisor::{Handle, Vitals, Watcher};
use crate::trunk::admission::Admission;
use crate::trunk::carrier;
use crate::trunk::carrier::{CarrierDesk, Line, Trunk, learn_windows};
use crate::trunk::live_trunk::LiveTrunk;
use crate::trunk::meters::CarrierMeters;
use crate::wallet::{ForgetAll, ForgetWallet, Wallet, Wallets};
use crate::webhook::client::WebhookClient;
use crate::webhook::{Desk, Wake, WebhookDesk};
use crate::{clock, wallet, webhook};

/// What a node is made of.
pub struct EngineParts {
    pub store: Store,
    pub lease: Arc<Lease>,
    /// The deliveries that this process works on.
    pub live: Arc<Live>,
    /// One for each carrier of the numbering plan, in [`Carrier::all`]'s order.
    pub trunks: Vec<Trunk>,
    pub line: Arc<dyn Line>,
    pub settings: DispatchSettings,
    pub webhooks: WebhookClient,
    /// How many wallet actors. SQLite takes one writer, so there one is best.
    pub wallet_lanes: usize,
    /// After how many days phones are masked; 0: never.
    pub mask_phones_after_days: u32,
    /// Called with a role's name when its restarts come faster than they can mend anything.
    pub escalate: Box<dyn Fn(&str)>,
    /// Told of each change that a command or another node made.
    pub on_change: Box<dyn Fn(&Change)>,
    /// Called when changes may have been missed.
    pub forget_all: Box<dyn Fn()>,
    /// Kept true by whoever follows the changes.
    pub freshness: Arc<Freshness>,
}

/// A node at work.
pub struct Engine {
    pub desk: Arc<DispatchDesk>,
    pub webhooks: Handle<WebhookDesk>,
    pub posts: Arc<Desk>,
    pub vitals: Arc<Vitals>,
    pub live: Arc<Live>,
    tasks: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Stops what works on its own: the watcher, the reaper, the masking and the reader of changes. None of them then
    /// holds a connection.
    pub async fn stop(self) {
        for task in self.tasks {
            task.abort();
            // Either it ended or it was cut off: it is gone.
            let _ = task.await;
        }
    }

    /// Hires the actors on this actix system and starts what keeps them right.
    ///
    /// # Errors
    /// When the change feed cannot be read.
    pub async fn start(parts: EngineParts) -> Result<Engine, StoreError> {
        let feed_seq = parts.store.last_change().await?;
        let mut watcher = Watcher::default();
        let vitals = Arc::new(Vitals::default());
        let (live, lease) = (Arc::clone(&parts.live), Arc::clone(&parts.lease));
        let posts = Arc::<Desk>::default();
        let webhooks = hire_webhooks(&mut watcher, &parts, &posts);
        let lanes: Vec<ArbiterHandle> = (0..parts.wallet_lanes.max(1))
            .map(|_| Arbiter::new().handle())
            .collect();
        let wallets = hire_wallets(&mut watcher, &parts, &lanes, &webhooks);
        let carriers = hire_carriers(&mut watcher, &parts, &lanes[0]).await?;
        let desk = Arc::new(DispatchDesk {
            carriers,
            wallets: wallets.clone(),
            lanes,
            live: Arc::clone(&live),
            flights: Arc::new(Flights::default()),
            lease: Arc::clone(&lease),
            to_begin: Arc::default(),
            settings: ArcSwap::from_pointee(parts.settings),
        });
        let watching = actix_rt::spawn(watcher.watch(Arc::clone(&vitals), parts.escalate));
        let reaping = actix_rt::spawn(reaper::reap(
            parts.store.clone(),
            Arc::clone(&lease),
            Arc::clone(&live),
            parts.settings.refund,
        ));
        let mut tasks = vec![watching, reaping];
        if lease.left().is_some() {
            tasks.push(actix_rt::spawn(takeover::look_for_dead(
                parts.store.clone(),
                Arc::clone(&lease),
                parts.settings.refund,
            )));
        }
        tasks.push(actix_rt::spawn(daily_stats::add_up(parts.store.clone())));
        if parts.mask_phones_after_days > 0 {
            let mask = privacy::mask(parts.store.clone(), parts.mask_phones_after_days);
            tasks.push(actix_rt::spawn(mask));
        }
        let (on_change, outbox) = (parts.on_change, webhooks.clone());
        let (forget_all, all_wallets) = (parts.forget_all, wallets.clone());
        let follower = Follower {
            tell: Box::new(move |change| {
                match change {
                    Change::Account(account)
                    | Change::Wallet(account)
                    | Change::Endpoints(account) => {
                        let _ = wallets.of(*account).try_send(ForgetWallet(*account));
                    }
                    Change::WebhookAttempt(_) => {
                        let _ = outbox.try_send(Wake);
                    }
                    Change::Key(_) | Change::Ports(_) | Change::Gateways(_) => {}
                }
                on_change(change);
            }),
            forget_all: Box::new(move || {
                for wallet in all_wallets.all() {
                    let _ = wallet.try_send(ForgetAll);
                }
                forget_all();
            }),
            freshness: parts.freshness,
        };
        let rung = Arc::new(Notify::new());
        tasks.push(actix_rt::spawn(changes::listen(
            parts.store.clone(),
            Arc::clone(&rung),
        )));
        tasks.push(actix_rt::spawn(changes::follow(
            parts.store,
            feed_seq,
            rung,
            follower,
        )));
        Ok(Engine {
            desk,
            webhooks,
            posts,
            vitals,
            live,
            tasks,
        })
    }
}

fn hire_webhooks(
    watcher: &mut Watcher,
    parts: &EngineParts,
    posts: &Arc<Desk>,
) -> Handle<WebhookDesk> {
    let (store, client) = (parts.store.clone(), parts.webhooks.clone());
    let (lease, posts) = (Arc::clone(&parts.lease), Arc::clone(posts));
    watcher.hire("webhook", webhook::MAILBOX, move |life_line| {
        WebhookDesk::new(
            store.clone(),
            Arc::clone(&lease),
            client.clone(),
            Arc::clone(&posts),
            life_line,
        )
    })
}

fn hire_wallets(
    watcher: &mut Watcher,
    parts: &EngineParts,
    lanes: &[ArbiterHandle],
    webhooks: &Handle<WebhookDesk>,
) -> Wallets {
    let hired = lanes.iter().enumerate().map(|(lane, thread)| {
        let (store, lease) = (parts.store.clone(), Arc::clone(&parts.lease));
        let webhooks = webhooks.clone();
        watcher.hire_on(
            thread,
            &format!("wallet-{lane}"),
            wallet::MAILBOX,
            move |life_line| {
                Wallet::new(
                    store.clone(),
                    Arc::clone(&lease),
                    webhooks.clone(),
                    life_line,
                )
            },
        )
    });
    Wallets::new(hired.collect())
}

/// Their work is short: they share the thread of the first lane, where on SQLite all sagas are.
async fn hire_carriers(
    watcher: &mut Watcher,
    parts: &EngineParts,
    thread: &ArbiterHandle,
) -> Result<Vec<CarrierRoute>, StoreError> {
    // Before the first request, not only before the actors' first messages.
    let windows = parts.store.open_windows(clock::unix_ms()).await?;
    let mut routes = Vec::new();
    for (carrier, trunk) in Carrier::all().zip(&parts.trunks) {
        let admission = Admission::new(trunk.channels, trunk.calls_per_second);
        learn_windows(&windows, &admission, carrier);
        routes.push(hire_carrier(watcher, parts, thread, trunk, admission));
    }
    Ok(routes)
}

fn hire_carrier(
    watcher: &mut Watcher,
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
    let its_admission = Arc::clone(&admission);
    let desk = watcher.hire_on(
        thread,
        &format!("carrier-{name}"),
        carrier::MAILBOX,
        move |life_line| {
            CarrierDesk::new(
                carrier,
                Arc::clone(&its_admission),
                Arc::clone(&line),
                Arc::clone(&lease),
                store.clone(),
                life_line,
            )
        },
    );
    CarrierRoute {
        trunk,
        admission,
        desk,
        meters: Arc::new(CarrierMeters::new(name)),
    }
}
