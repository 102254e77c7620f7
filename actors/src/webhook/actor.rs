//! The actor: scans the outbox whenever it is woken, and once a second.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, WrapFuture};
use nexo_entities::store::Store;

use crate::clock;
use crate::node::lease::Lease;
use crate::supervised;
use crate::supervision::supervisor::ActorGuard;
use crate::webhook::client::WebhookClient;
use crate::webhook::messages::{ScanFinished, Wake};
use crate::webhook::meters::Meters;
use crate::webhook::outbox::{claim, release_postponed, write_finished};
use crate::webhook::sender::{Claim, Sender};
use crate::webhook::state::{MAX_CLAIM, Scan, WebhookState};

/// The most messages in the actor's mailbox. Each only asks for a scan.
pub const MAILBOX_CAPACITY: usize = 64;
/// How often the outbox is scanned without being woken: after a crash, or for other writers.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// The actor.
pub struct WebhookActor {
    store: Store,
    lease: Arc<Lease>,
    sender: Sender,
    is_scanning: bool,
    must_scan_again: bool,
    _guard: ActorGuard,
}

impl WebhookActor {
    pub fn new(
        store: Store,
        lease: Arc<Lease>,
        client: WebhookClient,
        state: Arc<WebhookState>,
        guard: ActorGuard,
    ) -> Self {
        Self {
            store,
            lease,
            sender: Sender { client, state, meters: Meters::new() },
            is_scanning: false,
            must_scan_again: false,
            _guard: guard,
        }
    }

    /// Writes results and starts POSTs, one scan at a time.
    ///
    /// The scan is a task beside the actor, so that an attempt is not lost between its claim and its POST if the
    /// actor dies.
    fn scan(&mut self, ctx: &mut Context<Self>) {
        if self.store.stop_reason().is_some() {
            // Nothing can be claimed. The POSTs in progress will be shown as `unknown`.
            return;
        }
        if self.is_scanning {
            self.must_scan_again = true;
            return;
        }
        self.is_scanning = true;
        let (store, lease) = (self.store.clone(), Arc::clone(&self.lease));
        let (sender, actor) = (self.sender.clone(), ctx.address());
        let scan = Scan::begin(&sender.state);
        actix_rt::spawn(async move {
            write_finished(&store, &sender.state).await;
            release_postponed(&store, &sender.state).await;
            let (node, claimed) = claim(&store, &lease, &sender.state).await;
            let may_be_more = claimed.len() == MAX_CLAIM as usize;
            for (webhook, slots) in claimed {
                let claim = Claim { lease: Arc::clone(&lease), node: Arc::clone(&node), slots };
                sender.post(webhook, claim, actor.clone().recipient());
            }
            drop(scan);
            let in_flight = f64::from(sender.state.in_flight());
            sender.meters.in_flight.set(in_flight);
            // If the mailbox is full or the actor is dead, the actor or its successor scans within a second.
            let _ = actor.try_send(ScanFinished { may_be_more });
        });
    }

    fn measure_backlog(&self, ctx: &mut Context<Self>) {
        let (store, meters) = (self.store.clone(), self.sender.meters.clone());
        let measure = async move {
            if let Ok(pending) = store.webhooks().backlog().await {
                meters.backlog.set(pending as f64);
            }
            if let Ok(oldest) = store.webhooks().oldest_pending_ms().await {
                let age = oldest.map_or(0, |since| clock::unix_ms() - since);
                meters.oldest.set(age.max(0) as f64 / 1e3);
            }
        };
        ctx.spawn(measure.into_actor(self));
    }
}

impl Actor for WebhookActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(SCAN_INTERVAL, |actor, ctx| {
            // The report of the last scan may not have fit into the mailbox.
            actor.is_scanning = false;
            actor.scan(ctx);
            actor.measure_backlog(ctx);
        });
        self.scan(ctx);
    }
}

supervised!(WebhookActor);

impl Handler<ScanFinished> for WebhookActor {
    type Result = ();

    fn handle(&mut self, finished: ScanFinished, ctx: &mut Context<Self>) {
        self.is_scanning = false;
        if std::mem::take(&mut self.must_scan_again) || finished.may_be_more {
            self.scan(ctx);
        }
    }
}

impl Handler<Wake> for WebhookActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.scan(ctx);
    }
}
