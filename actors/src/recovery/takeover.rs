//! Settles what a dead node has left behind: its calls in progress end as `interrupted`, once.
//!
//! Every node looks, and the first to find a dead one takes it over: the dead node's epoch grows, so that
//! nothing counts any more that it may still want to write. Should the taker die too, another one follows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use nexo_domain::call::outcome::RefundPolicy;
use nexo_entities::store::ledger::posting::{NodeEpoch, WalletCache};
use nexo_entities::store::{Store, StoreError};

use crate::clock;
use crate::node::lease::Lease;
use crate::recovery::reaper::interrupted;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long others leave the settling to the taker.
const TAKEN_FOR_MS: i64 = 30_000;

/// Looks until the process ends.
pub async fn look_for_dead(store: Store, lease: Arc<Lease>, policy: RefundPolicy) {
    let takeovers = metrics::counter!("nexo_node_takeovers_total");
    let settled = metrics::counter!("nexo_node_taken_deliveries_total");
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        // Who may be dead itself declares nobody dead.
        let Some(own) = lease.current() else { continue };
        match look(&store, &own, policy, &takeovers).await {
            Ok(count) => settled.increment(count as u64),
            Err(error) => tracing::warn!(%error, "dead nodes could not be settled"),
        }
    }
}

async fn look(
    store: &Store,
    own: &NodeEpoch,
    policy: RefundPolicy,
    takeovers: &Counter,
) -> Result<usize, StoreError> {
    let mut settled = 0;
    for dead in store.dead_nodes(&own.node).await? {
        let now_ms = clock::unix_ms();
        let Some(taken) = store.take_over(&dead, TAKEN_FOR_MS, now_ms).await? else {
            continue;
        };
        takeovers.increment(1);
        let mut cache = WalletCache::default();
        let none = HashSet::new();
        let count = store
            .settle_unfinished(&mut cache, &taken, i64::MAX, &none, |unfinished| {
                interrupted(unfinished, policy)
            })
            .await?;
        tracing::warn!(
            node = %taken.node,
            epoch = taken.epoch,
            count,
            "a dead node was taken over and its deliveries were settled"
        );
        settled += count;
    }
    Ok(settled)
}
