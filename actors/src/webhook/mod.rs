//! The webhook actor: from the outbox to signed POSTs, each sent at most once.
//!
//! | attempt | when |
//! |---|---|
//! | pending → sending | committed before the POST |
//! | sending → delivered, failed | committed after it, with others that ended meanwhile |
//! | sending → unknown | the process died in between, or was taken for dead; only a person replays it |
//!
//! POSTs run beside the actor, so its death interrupts none, and what they report waits in a list
//! that outlives it. An endpoint has few POSTs at a time; one that is slow is passed over in the
//! outbox and delays nobody else.
//!
//! A look does not wait for one that hangs with its database connection, so two may claim for the same
//! endpoint. Its POSTs stay few all the same: each takes one of the endpoint's places, or waits for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, WrapFuture};
use metrics::{Counter, Gauge, Histogram};
use nexo_domain::ids::EndpointId;
use nexo_entities::store::Store;
use nexo_entities::store::ledger::posting::NodeEpoch;
use nexo_entities::store::webhooks::attempts::{ClaimLimits, ClaimedAttempt, FinishedAttempt};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::{Instrument, Span};

use crate::node::lease::Lease;
use crate::supervised;
use crate::supervision::supervisor::LifeLine;
use crate::webhook::client::{Outgoing, Sent, WebhookClient};

pub mod client;
pub mod traces;

/// The most messages that wait for the actor; each only says "look".
pub const MAILBOX: usize = 64;
/// The most POSTs to one endpoint at a time.
pub const PER_ENDPOINT: u32 = 16;
/// The most POSTs at a time.
pub const IN_FLIGHT: u32 = 2_048;
/// The most attempts that one look takes from the outbox.
pub const CLAIM: u32 = 256;
/// How often the outbox is looked at without being asked: after a crash, or for other writers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Look at the outbox, and at what has ended.
pub struct Wake;

impl Message for Wake {
    type Result = ();
}

/// What outlives the actor: the POSTs under way and the results that are not yet written.
#[derive(Default)]
pub struct Desk {
    in_flight: Mutex<HashMap<EndpointId, InFlight>>,
    finished: Mutex<Vec<FinishedAttempt>>,
    /// Looks at the outbox that are under way.
    looks: AtomicUsize,
}

/// What one endpoint is being sent.
struct InFlight {
    claimed: u32,
    places: Arc<Semaphore>,
}

impl InFlight {
    fn none() -> InFlight {
        InFlight {
            claimed: 0,
            places: Arc::new(Semaphore::new(PER_ENDPOINT as usize)),
        }
    }
}

/// A look that is under way, until this is dropped.
struct Look(Arc<Desk>);

impl Look {
    fn begin(desk: &Arc<Desk>) -> Look {
        desk.looks.fetch_add(1, Ordering::AcqRel);
        Look(Arc::clone(desk))
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.0.looks.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Desk {
    /// How many POSTs are under way.
    pub fn in_flight(&self) -> u32 {
        let in_flight = self.locked_in_flight();
        in_flight.values().map(|endpoint| endpoint.claimed).sum()
    }

    /// Whether no POST is under way or about to be, and what became of each is written.
    pub fn is_idle(&self) -> bool {
        // In this order: a look ends with POSTs, a POST with something to be written.
        let looks = self.looks.load(Ordering::Acquire);
        let in_flight = self.in_flight();
        looks == 0 && in_flight == 0 && self.locked_finished().is_empty()
    }

    fn locked_in_flight(&self) -> std::sync::MutexGuard<'_, HashMap<EndpointId, InFlight>> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn locked_finished(&self) -> std::sync::MutexGuard<'_, Vec<FinishedAttempt>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt for it is claimed: it may be sent when it has one of these places.
    fn begin(&self, endpoint: EndpointId) -> Arc<Semaphore> {
        let mut in_flight = self.locked_in_flight();
        let endpoint = in_flight.entry(endpoint).or_insert_with(InFlight::none);
        endpoint.claimed += 1;
        Arc::clone(&endpoint.places)
    }

    fn finish(&self, endpoint: EndpointId, finished: FinishedAttempt) {
        self.locked_finished().push(finished);
        self.leave(endpoint);
    }

    /// A POST to it is not sent after all.
    fn leave(&self, endpoint: EndpointId) {
        let mut in_flight = self.locked_in_flight();
        if let Some(left) = in_flight.get_mut(&endpoint) {
            left.claimed -= 1;
            if left.claimed == 0 {
                in_flight.remove(&endpoint);
            }
        }
    }

    /// What each endpoint is being sent, and how many POSTs may still be started.
    fn room(&self) -> (HashMap<EndpointId, u32>, u32) {
        let in_flight: HashMap<EndpointId, u32> = self
            .locked_in_flight()
            .iter()
            .map(|(endpoint, in_flight)| (*endpoint, in_flight.claimed))
            .collect();
        let total: u32 = in_flight.values().sum();
        (in_flight, IN_FLIGHT.saturating_sub(total).min(CLAIM))
    }

    fn take_finished(&self) -> Vec<FinishedAttempt> {
        std::mem::take(&mut self.locked_finished())
    }

    fn put_back(&self, finished: Vec<FinishedAttempt>) {
        self.locked_finished().extend(finished);
    }
}

#[derive(Clone)]
struct Meters {
    delivered: Counter,
    failed: Counter,
    latency: Histogram,
    in_flight: Gauge,
    backlog: Gauge,
    oldest: Gauge,
}

impl Meters {
    fn new() -> Self {
        let attempts = |outcome: &'static str| metrics::counter!("nexo_webhook_attempts_total", "outcome" => outcome);
        Self {
            delivered: attempts("delivered"),
            failed: attempts("failed"),
            latency: metrics::histogram!("nexo_webhook_seconds"),
            in_flight: metrics::gauge!("nexo_webhooks_in_flight"),
            backlog: metrics::gauge!("nexo_webhook_backlog"),
            oldest: metrics::gauge!("nexo_webhook_oldest_seconds"),
        }
    }

    fn count(&self, sent: &Sent) {
        self.latency.record(sent.duration);
        match sent.is_delivered() {
            true => self.delivered.increment(1),
            false => self.failed.increment(1),
        }
    }
}

/// The actor.
pub struct WebhookDesk {
    store: Store,
    lease: Arc<Lease>,
    client: WebhookClient,
    desk: Arc<Desk>,
    looking: bool,
    look_again: bool,
    meters: Meters,
    _life_line: LifeLine,
}

impl WebhookDesk {
    pub fn new(
        store: Store,
        lease: Arc<Lease>,
        client: WebhookClient,
        desk: Arc<Desk>,
        life_line: LifeLine,
    ) -> Self {
        Self {
            store,
            lease,
            client,
            desk,
            looking: false,
            look_again: false,
            meters: Meters::new(),
            _life_line: life_line,
        }
    }

    /// Writes what has ended and sends what may be sent, one look at a time.
    ///
    /// The look is a task beside the actor: between a claim and its POST nothing may be lost.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.store.stopped().is_some() {
            // Nothing can be claimed, and what was being sent stays to be shown as `unknown`.
            return;
        }
        if self.looking {
            self.look_again = true;
            return;
        }
        self.looking = true;
        let (store, lease) = (self.store.clone(), Arc::clone(&self.lease));
        let desk = Arc::clone(&self.desk);
        let (client, meters, actor) = (self.client.clone(), self.meters.clone(), ctx.address());
        let under_way = Look::begin(&desk);
        actix_rt::spawn(async move {
            write_finished(&store, &desk).await;
            let (node, claimed) = claim(&store, &lease, &desk).await;
            let may_be_more = claimed.len() == CLAIM as usize;
            for (webhook, places) in claimed {
                let duty = Duty {
                    lease: Arc::clone(&lease),
                    node: Arc::clone(&node),
                    places,
                };
                post(webhook, duty, &client, &desk, &meters, &actor);
            }
            drop(under_way);
            meters.in_flight.set(f64::from(desk.in_flight()));
            // Full: it looks again within a second. Dead: so does its successor.
            let _ = actor.try_send(Looked { may_be_more });
        });
    }

    fn count_backlog(&self, ctx: &mut Context<Self>) {
        let (store, meters) = (self.store.clone(), self.meters.clone());
        let count = async move {
            if let Ok(pending) = store.webhook_backlog().await {
                meters.backlog.set(pending as f64);
            }
            if let Ok(oldest) = store.oldest_waiting_webhook_ms().await {
                let age = oldest.map_or(0, |since| crate::clock::unix_ms() - since);
                meters.oldest.set(age.max(0) as f64 / 1e3);
            }
        };
        ctx.spawn(count.into_actor(self));
    }
}

impl Actor for WebhookDesk {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK_EVERY, |actor, ctx| {
            // A look whose report found the mailbox full must not be waited for.
            actor.looking = false;
            actor.look(ctx);
            actor.count_backlog(ctx);
        });
        self.look(ctx);
    }
}

supervised!(WebhookDesk);

/// A look is over.
struct Looked {
    may_be_more: bool,
}

impl Message for Looked {
    type Result = ();
}

impl Handler<Looked> for WebhookDesk {
    type Result = ();

    fn handle(&mut self, looked: Looked, ctx: &mut Context<Self>) {
        self.looking = false;
        if std::mem::take(&mut self.look_again) || looked.may_be_more {
            self.look(ctx);
        }
    }
}

impl Handler<Wake> for WebhookDesk {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.look(ctx);
    }
}

/// Starts a POST. Its endpoint was counted when it was claimed.
fn post(
    webhook: ClaimedAttempt,
    duty: Duty,
    client: &WebhookClient,
    desk: &Arc<Desk>,
    meters: &Meters,
    actor: &Addr<WebhookDesk>,
) {
    let (client, desk) = (client.clone(), Arc::clone(desk));
    let (meters, actor) = (meters.clone(), actor.clone());
    let span = tracing::error_span!(
        parent: None,
        "webhook",
        delivery = %webhook.delivery_id,
        attempt = %webhook.id,
        status = tracing::field::Empty,
        failure = tracing::field::Empty,
    );
    if let Some(trace) = webhook.trace {
        traces::join(trace, &span);
    }
    let posting = async move {
        let endpoint = webhook.endpoint_id;
        let Some(_place) = duty.place().await else {
            desk.leave(endpoint);
            return;
        };
        let outgoing = outgoing(webhook);
        let sent = client.send(&outgoing).await;
        meters.count(&sent);
        note(&sent);
        desk.finish(endpoint, finished(&outgoing, sent));
        // Full: it is awake. Dead: its successor looks within a second.
        let _ = actor.try_send(Wake);
    };
    actix_rt::spawn(posting.instrument(span));
}

/// Tells the webhook's span how it ended.
fn note(sent: &Sent) {
    let span = Span::current();
    if let Some(status) = sent.status_code {
        span.record("status", status);
    }
    if let Some(error) = &sent.error {
        span.record("failure", error.as_str());
    }
}

async fn write_finished(store: &Store, desk: &Desk) {
    let finished = desk.take_finished();
    if finished.is_empty() {
        return;
    }
    if let Err(error) = store.finish_webhooks(&finished).await {
        tracing::warn!(%error, count = finished.len(), "webhook results are not written yet");
        desk.put_back(finished);
    }
}

/// An attempt, and its endpoint's places.
type Claimed = (ClaimedAttempt, Arc<Semaphore>);

/// Claims what may be sent now, and counts it as in flight at once, so that a death in between
/// leaves no endpoint over its limit.
async fn claim(store: &Store, lease: &Lease, desk: &Desk) -> (Arc<NodeEpoch>, Vec<Claimed>) {
    let node = lease.node();
    let (in_flight, room) = desk.room();
    if room == 0 || !lease.is_valid() {
        return (node, Vec::new());
    }
    let limits = ClaimLimits {
        attempts: room,
        per_endpoint: PER_ENDPOINT,
    };
    let now_ms = crate::clock::unix_ms();
    let claimed = match store
        .claim_webhooks(&node, &in_flight, limits, now_ms)
        .await
    {
        Ok(claimed) => claimed
            .into_iter()
            .map(|webhook| {
                let places = desk.begin(webhook.endpoint_id);
                (webhook, places)
            })
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "the webhook outbox could not be read");
            Vec::new()
        }
    };
    (node, claimed)
}

/// By which right a claimed attempt is sent.
struct Duty {
    lease: Arc<Lease>,
    /// Who claimed it.
    node: Arc<NodeEpoch>,
    places: Arc<Semaphore>,
}

impl Duty {
    /// Waits for a place at the endpoint, and for the lease to last. `None` where another node has taken
    /// this one for dead: then the attempt is `unknown` by now, and not sent.
    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        let place = self.places.acquire().await.ok()?;
        self.is_still_ours().await.then_some(place)
    }

    /// Waits until the lease lasts again, where it does not. `false` where the epoch is over.
    async fn is_still_ours(&self) -> bool {
        loop {
            if self.lease.node().epoch != self.node.epoch {
                return false;
            }
            if self.lease.is_valid() {
                return true;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// What is sent for a claimed attempt.
pub fn outgoing(webhook: ClaimedAttempt) -> Outgoing {
    Outgoing {
        attempt_id: webhook.id,
        delivery_id: webhook.delivery_id,
        url: webhook.url,
        secret: webhook.secret,
        old_secret: webhook.old_secret,
        event_type: webhook.event_type,
        body: webhook.body,
    }
}

/// What is written of a POST that has ended.
pub fn finished(outgoing: &Outgoing, sent: Sent) -> FinishedAttempt {
    FinishedAttempt {
        id: outgoing.attempt_id,
        delivered: sent.is_delivered(),
        status_code: sent.status_code,
        duration_ms: i64::try_from(sent.duration.as_millis()).unwrap_or(i64::MAX),
        response_head: sent.head,
        error: sent.error,
        finished_at_ms: crate::clock::unix_ms(),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const ENDPOINT: EndpointId = EndpointId(uuid::Uuid::from_u128(1));

    fn node(epoch: i64) -> NodeEpoch {
        NodeEpoch {
            node: Arc::from("n1"),
            epoch,
        }
    }

    /// What was claimed in the node's first life.
    fn claimed(desk: &Desk, lease: &Arc<Lease>) -> Duty {
        Duty {
            lease: Arc::clone(lease),
            node: Arc::new(node(1)),
            places: desk.begin(ENDPOINT),
        }
    }

    #[tokio::test]
    async fn an_endpoint_has_few_posts_also_where_two_looks_claimed_for_it() {
        let (desk, lease) = (Desk::default(), Lease::alone(node(1)));
        let claimed: Vec<Duty> = (0..2 * PER_ENDPOINT)
            .map(|_| claimed(&desk, &lease))
            .collect();
        assert_eq!(desk.in_flight(), 2 * PER_ENDPOINT);
        let (now, later) = claimed.split_at(PER_ENDPOINT as usize);
        let mut places = Vec::new();
        for duty in now {
            places.push(duty.place().await.unwrap());
        }
        assert!(later[0].place().now_or_never().is_none());
        desk.leave(ENDPOINT);
        places.pop();
        assert!(later[0].place().now_or_never().is_some());
    }

    #[tokio::test]
    async fn nothing_is_sent_by_a_life_that_is_over() {
        let (desk, lease) = (Desk::default(), Lease::alone(node(2)));
        let duty = claimed(&desk, &lease);
        assert!(duty.place().await.is_none());
        desk.leave(ENDPOINT);
        assert!(desk.is_idle());
    }
}
