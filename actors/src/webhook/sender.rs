//! Sends claimed attempts, each in a task of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Recipient;
use nexo_entities::store::ledger::posting::NodeEpoch;
use nexo_entities::store::webhooks::attempts::{ClaimedAttempt, FinishedAttempt};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::{Instrument, Span};

use crate::clock;
use crate::node::lease::Lease;
use crate::webhook::client::{Outgoing, Sent, WebhookClient};
use crate::webhook::messages::Wake;
use crate::webhook::meters::Meters;
use crate::webhook::state::WebhookState;
use crate::webhook::traces;

/// How often an expired lease is checked again.
const LEASE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The age at which an attempt that this host could not send fails. A webhook that is a day late is of no use.
const MAX_POSTPONEMENT: Duration = Duration::from_secs(24 * 3600);

/// Starts POSTs and records their results.
#[derive(Clone)]
pub(super) struct Sender {
    pub client: WebhookClient,
    pub state: Arc<WebhookState>,
    pub meters: Meters,
}

impl Sender {
    /// Starts a POST. Its endpoint was counted when the attempt was claimed. Wakes the actor afterwards.
    pub fn post(&self, webhook: ClaimedAttempt, claim: Claim, actor: Recipient<Wake>) {
        let sender = self.clone();
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
            let Some(_slot) = claim.slot().await else {
                sender.state.cancel(endpoint);
                return;
            };
            let created_at_ms = webhook.created_at_ms;
            let outgoing = outgoing(webhook);
            let sent = sender.client.send(&outgoing).await;
            record(&sent);
            match sent.shortage {
                Some(shortage) if may_be_postponed(created_at_ms) => {
                    shortage.count("webhook");
                    let node = Arc::clone(&claim.node);
                    let attempt = (outgoing.attempt_id, node);
                    sender.state.postpone(endpoint, attempt, shortage, Instant::now());
                }
                Some(_) | None => {
                    sender.meters.count(&sent);
                    sender.state.finish(endpoint, finished(&outgoing, sent));
                }
            }
            // If the mailbox is full, the actor is awake. If the actor is dead, its successor scans within a second.
            let _ = actor.try_send(Wake);
        };
        actix_rt::spawn(posting.instrument(span));
    }
}

/// Whether an attempt of this age waits for this host to have what it lacks.
fn may_be_postponed(created_at_ms: i64) -> bool {
    let age_ms = clock::unix_ms().saturating_sub(created_at_ms);
    u128::from(age_ms.max(0).unsigned_abs()) < MAX_POSTPONEMENT.as_millis()
}

/// Records the result in the webhook's span.
fn record(sent: &Sent) {
    let span = Span::current();
    if let Some(status) = sent.status_code {
        span.record("status", status);
    }
    if let Some(error) = &sent.error {
        span.record("failure", error.as_str());
    }
}

/// The right to send an attempt.
pub(super) struct Claim {
    pub lease: Arc<Lease>,
    /// The epoch that claimed the attempt.
    pub node: Arc<NodeEpoch>,
    pub slots: Arc<Semaphore>,
}

impl Claim {
    /// Waits for a slot of the endpoint, and for a valid lease. `None` if another node has ended this node's epoch:
    /// then the attempt is `unknown` and must not be sent.
    pub async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        let slot = self.slots.acquire().await.ok()?;
        self.is_still_ours().await.then_some(slot)
    }

    /// Waits until the lease is valid. `false` if the epoch has ended.
    async fn is_still_ours(&self) -> bool {
        loop {
            if self.lease.node().epoch != self.node.epoch {
                return false;
            }
            if self.lease.is_valid() {
                return true;
            }
            tokio::time::sleep(LEASE_CHECK_INTERVAL).await;
        }
    }
}

/// The request for a claimed attempt.
pub fn outgoing(webhook: ClaimedAttempt) -> Outgoing {
    Outgoing {
        attempt_id: webhook.id,
        delivery_id: webhook.delivery_id,
        event_id: webhook.event_id(),
        url: webhook.url,
        secret: webhook.secret,
        old_secret: webhook.old_secret,
        event_type: webhook.event_type,
        body: webhook.body,
    }
}

/// The record of a finished POST.
pub fn finished(outgoing: &Outgoing, sent: Sent) -> FinishedAttempt {
    FinishedAttempt {
        id: outgoing.attempt_id,
        delivered: sent.is_delivered(),
        status_code: sent.status_code,
        duration_ms: i64::try_from(sent.duration.as_millis()).unwrap_or(i64::MAX),
        response_head: sent.head,
        error: sent.error,
        finished_at_ms: clock::unix_ms(),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use nexo_domain::ids::EndpointId;

    use super::*;
    use crate::webhook::state::MAX_PER_ENDPOINT;

    const ENDPOINT: EndpointId = EndpointId(uuid::Uuid::from_u128(1));

    fn node(epoch: i64) -> NodeEpoch {
        NodeEpoch { node: Arc::from("n1"), epoch }
    }

    /// An attempt that was claimed in the node's first epoch.
    fn claimed(state: &WebhookState, lease: &Arc<Lease>) -> Claim {
        Claim { lease: Arc::clone(lease), node: Arc::new(node(1)), slots: state.begin(ENDPOINT) }
    }

    #[tokio::test]
    async fn the_limit_of_an_endpoint_holds_for_claims_of_two_scans() {
        let (state, lease) = (WebhookState::default(), Lease::alone(node(1)));
        let claimed: Vec<Claim> =
            (0..2 * MAX_PER_ENDPOINT).map(|_| claimed(&state, &lease)).collect();
        assert_eq!(state.in_flight(), 2 * MAX_PER_ENDPOINT);
        let (now, later) = claimed.split_at(MAX_PER_ENDPOINT as usize);
        let mut slots = Vec::new();
        for claim in now {
            slots.push(claim.slot().await.unwrap());
        }
        assert!(later[0].slot().now_or_never().is_none());
        state.cancel(ENDPOINT);
        slots.pop();
        assert!(later[0].slot().now_or_never().is_some());
    }

    #[tokio::test]
    async fn nothing_is_sent_in_an_epoch_that_has_ended() {
        let (state, lease) = (WebhookState::default(), Lease::alone(node(2)));
        let claim = claimed(&state, &lease);
        assert!(claim.slot().await.is_none());
        state.cancel(ENDPOINT);
        assert!(state.is_idle());
    }
}
