//! Puts the actors of one node to work, in the order that a restart needs.

use std::sync::Arc;

use actix_rt::task::JoinHandle;
use actix_rt::{Arbiter, ArbiterHandle};
use nexo_domain::carrier_plan::Carrier;
use nexo_entities::store::changes::Change;
use nexo_entities::store::posting::NodeEpoch;
use nexo_entities::store::{Store, StoreError};

use crate::admission::Admission;
use crate::carrier::{CarrierDesk, Line, Trunk, learn_windows};
use crate::dispatch::{CarrierRoute, DispatchDesk, DispatchSettings};
use crate::live::Live;
use crate::meters::CarrierMeters;
use crate::wallet::{ForgetWallet, Wallet, Wallets};
use crate::watch::{Handle, Vitals, Watcher};
use crate::webhook::{Desk, Wake, WebhookDesk};
use crate::webhook_client::WebhookClient;
use crate::{carrier, changes, clock, privacy, reaper, wallet, webhook};

/// What a node is made of.
pub struct EngineParts {
    pub store: Store,
    pub node: NodeEpoch,
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
        let live = Arc::new(Live::default());
        let posts = Arc::new(Desk::default());
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
            settings: parts.settings,
        });
        let watching = actix_rt::spawn(watcher.watch(Arc::clone(&vitals), parts.escalate));
        let reaping = actix_rt::spawn(reaper::reap(
            parts.store.clone(),
            parts.node,
            Arc::clone(&live),
            parts.settings.refund,
        ));
        let masking = (parts.mask_phones_after_days > 0).then(|| {
            let mask = privacy::mask(parts.store.clone(), parts.mask_phones_after_days);
            actix_rt::spawn(mask)
        });
        let on_change = parts.on_change;
        let outbox = webhooks.clone();
        let following = actix_rt::spawn(changes::follow(parts.store, feed_seq, move |change| {
            match change {
                Change::Account(account) | Change::Wallet(account) | Change::Endpoints(account) => {
                    let _ = wallets.of(*account).try_send(ForgetWallet(*account));
                }
                Change::WebhookAttempt(_) => {
                    let _ = outbox.try_send(Wake);
                }
                Change::Key(_) | Change::Ports(_) => {}
            }
            on_change(change);
        }));
        Ok(Engine {
            desk,
            webhooks,
            posts,
            vitals,
            live,
            tasks: [watching, reaping, following]
                .into_iter()
                .chain(masking)
                .collect(),
        })
    }
}

fn hire_webhooks(
    watcher: &mut Watcher,
    parts: &EngineParts,
    posts: &Arc<Desk>,
) -> Handle<WebhookDesk> {
    let (store, client) = (parts.store.clone(), parts.webhooks.clone());
    let (node, posts) = (parts.node.clone(), Arc::clone(posts));
    watcher.hire("webhook", webhook::MAILBOX, move |life_line| {
        WebhookDesk::new(
            store.clone(),
            node.clone(),
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
        let (store, node) = (parts.store.clone(), parts.node.clone());
        let webhooks = webhooks.clone();
        watcher.hire_on(
            thread,
            &format!("wallet-{lane}"),
            wallet::MAILBOX,
            move |life_line| Wallet::new(store.clone(), node.clone(), webhooks.clone(), life_line),
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
    let trunk = Arc::new(trunk.clone());
    let name = trunk.carrier.name();
    let (store, line) = (parts.store.clone(), Arc::clone(&parts.line));
    let (its_trunk, its_admission) = (Arc::clone(&trunk), Arc::clone(&admission));
    let desk = watcher.hire_on(
        thread,
        &format!("carrier-{name}"),
        carrier::MAILBOX,
        move |life_line| {
            CarrierDesk::new(
                Arc::clone(&its_trunk),
                Arc::clone(&its_admission),
                Arc::clone(&line),
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
