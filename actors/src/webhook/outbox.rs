//! Claims attempts from the outbox, and writes their results back.

use std::sync::Arc;
use std::time::Instant;

use nexo_entities::store::Store;
use nexo_entities::store::ledger::posting::NodeEpoch;
use nexo_entities::store::webhooks::attempts::{ClaimLimits, ClaimedAttempt};
use tokio::sync::Semaphore;

use crate::clock;
use crate::node::lease::Lease;
use crate::webhook::state::{MAX_PER_ENDPOINT, WebhookState};

/// An attempt, and the slots of its endpoint.
type Claimed = (ClaimedAttempt, Arc<Semaphore>);

/// Writes the results of finished POSTs. If the store fails, they are written later.
pub(super) async fn write_finished(store: &Store, state: &WebhookState) {
    let finished = state.take_finished();
    if finished.is_empty() {
        return;
    }
    if let Err(error) = store.webhooks().finish(&finished).await {
        tracing::warn!(%error, count = finished.len(), "webhook results are not written yet");
        state.put_back(finished);
    }
}

/// Makes attempts `pending` again that were not sent. If the store fails, that is done later.
pub(super) async fn release_postponed(store: &Store, state: &WebhookState) {
    let postponed = state.take_postponed();
    if postponed.is_empty() {
        return;
    }
    let rows: Vec<_> = postponed.iter().map(|(id, node)| (*id, node.node.as_ref())).collect();
    if let Err(error) = store.webhooks().release(&rows).await {
        tracing::warn!(%error, count = postponed.len(), "webhooks are not pending again yet");
        state.put_back_postponed(postponed);
    }
}

/// Claims the attempts that may be sent now. Records them as in flight at once, so that an endpoint stays within
/// its limit if the actor dies in between.
pub(super) async fn claim(
    store: &Store,
    lease: &Lease,
    state: &WebhookState,
) -> (Arc<NodeEpoch>, Vec<Claimed>) {
    let node = lease.node();
    let (in_flight, room) = state.room(Instant::now());
    if room == 0 || !lease.is_valid() {
        return (node, Vec::new());
    }
    let limits = ClaimLimits { attempts: room, per_endpoint: MAX_PER_ENDPOINT };
    let claimed = store.webhooks().claim(&node, &in_flight, limits, clock::unix_ms());
    let claimed = match claimed.await {
        Ok(claimed) => claimed
            .into_iter()
            .map(|attempt| {
                let slots = state.begin(attempt.endpoint_id);
                (attempt, slots)
            })
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "the webhook outbox could not be read");
            Vec::new()
        }
    };
    (node, claimed)
}
