//! Settles the deliveries of a dead node: its calls in progress end as `interrupted`, once.
//!
//! Every node looks for dead nodes, and the first to find one takes it over. That raises the dead node's epoch, so
//! that the database refuses its late writes. If the node that takes over dies too, another one takes over.

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

/// How often a node looks for dead nodes.
const SCAN_INTERVAL: Duration = Duration::from_secs(2);
/// How long other nodes wait for the one that takes over.
const TAKEOVER_LEASE_MS: i64 = 30_000;

/// Takes over dead nodes until the process ends.
pub async fn take_over_dead_nodes(store: Store, lease: Arc<Lease>, policy: RefundPolicy) {
    let takeovers = metrics::counter!("nexo_node_takeovers_total");
    let settled = metrics::counter!("nexo_node_taken_deliveries_total");
    let mut due = clock::interval(SCAN_INTERVAL);
    loop {
        due.tick().await;
        // A node without a valid lease may be dead itself, and declares no other node dead.
        let Some(own) = lease.current() else { continue };
        match scan(&store, &own, policy, &takeovers).await {
            Ok(count) => settled.increment(count as u64),
            Err(error) => tracing::warn!(%error, "dead nodes could not be settled"),
        }
    }
}

async fn scan(
    store: &Store,
    own: &NodeEpoch,
    policy: RefundPolicy,
    takeovers: &Counter,
) -> Result<usize, StoreError> {
    let mut settled = 0;
    for dead in store.cluster().dead_nodes(&own.node).await? {
        let now_ms = clock::unix_ms();
        let Some(taken) = store
            .cluster()
            .take_over(&dead, TAKEOVER_LEASE_MS, now_ms)
            .await?
        else {
            continue;
        };
        takeovers.increment(1);
        let mut cache = WalletCache::default();
        let none = HashSet::new();
        let count = store
            .deliveries()
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
