//! Settles the deliveries of a dead node: its calls in progress end as `interrupted`, once.
//!
//! Every node looks for dead nodes, and the first to find one takes it over. That raises the dead node's epoch, so
//! that the database refuses its late writes. If the node that takes over dies too, another one takes over.
//!
//! The database's clock says when a lease has ended. It may be set while the nodes run, so a node is dead only if its
//! lease has also not changed for a while by our own boot clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use nexo_domain::call::outcome::RefundPolicy;
use nexo_entities::store::ledger::posting::{NodeEpoch, WalletCache};
use nexo_entities::store::{Store, StoreError};

use crate::clock;
use crate::node::lease::{self, Lease};
use crate::recovery::reaper::interrupted;

/// How often a node looks for dead nodes.
const SCAN_INTERVAL: Duration = Duration::from_secs(2);
/// How long other nodes wait for the one that takes over.
const TAKEOVER_LEASE_MS: i64 = 30_000;

/// When the leases of the other nodes last changed, as seen by this node.
#[derive(Default)]
struct SeenLeases(HashMap<String, SeenLease>);

struct SeenLease {
    until_ms: i64,
    /// By the boot clock.
    since_ms: i64,
}

impl SeenLeases {
    fn update(&mut self, leases: Vec<(String, i64)>, boot_ms: i64) {
        let mut before = std::mem::take(&mut self.0);
        for (name, until_ms) in leases {
            let seen = before.remove(&name);
            let unchanged = seen.filter(|seen| seen.until_ms == until_ms);
            let since_ms = unchanged.map_or(boot_ms, |seen| seen.since_ms);
            self.0.insert(name, SeenLease { until_ms, since_ms });
        }
    }

    /// Whether the node has not renewed its lease for this long.
    fn is_silent_for(&self, node: &NodeEpoch, time: Duration, boot_ms: i64) -> bool {
        let seen = self.0.get(node.node.as_ref());
        seen.is_some_and(|seen| i128::from(boot_ms - seen.since_ms) >= time.as_millis() as i128)
    }
}

/// Takes over dead nodes until the process ends. `max_call` is how long a call may last after the end of a lease.
pub async fn take_over_dead_nodes(
    store: Store,
    lease: Arc<Lease>,
    max_call: Duration,
    policy: RefundPolicy,
) {
    let mut seen = SeenLeases::default();
    let takeovers = metrics::counter!("nexo_node_takeovers_total");
    let settled = metrics::counter!("nexo_node_taken_deliveries_total");
    let mut due = clock::interval(SCAN_INTERVAL);
    loop {
        due.tick().await;
        // A node without a valid lease may be dead itself, and declares no other node dead.
        let Some(own) = lease.current() else { continue };
        let scanned = async {
            let dead = find_dead(&store, &own, max_call, &mut seen).await?;
            settle_nodes(&store, dead, policy, &takeovers).await
        };
        match scanned.await {
            Ok(count) => settled.increment(count as u64),
            Err(error) => tracing::warn!(%error, "dead nodes could not be settled"),
        }
    }
}

/// The nodes that are dead by the database's clock and by ours.
async fn find_dead(
    store: &Store,
    own: &NodeEpoch,
    max_call: Duration,
    seen: &mut SeenLeases,
) -> Result<Vec<NodeEpoch>, StoreError> {
    let cluster = store.cluster();
    seen.update(cluster.other_leases(&own.node).await?, clock::boot_ms());
    let boot_ms = clock::boot_ms();
    let mut dead = cluster.dead_nodes(&own.node).await?;
    dead.retain(|node| seen.is_silent_for(node, lease::DURATION, boot_ms));
    let mut of_another_time = cluster.nodes_of_another_time(&own.node).await?;
    of_another_time.retain(|node| seen.is_silent_for(node, lease::DURATION + max_call, boot_ms));
    dead.append(&mut of_another_time);
    Ok(dead)
}

async fn settle_nodes(
    store: &Store,
    nodes: Vec<NodeEpoch>,
    policy: RefundPolicy,
    takeovers: &Counter,
) -> Result<usize, StoreError> {
    let mut settled = 0;
    for dead in nodes {
        let now_ms = clock::unix_ms();
        let Some(taken) = store.cluster().take_over(&dead, TAKEOVER_LEASE_MS, now_ms).await? else {
            continue;
        };
        takeovers.increment(1);
        let mut cache = WalletCache::default();
        let count = store
            .deliveries()
            .settle_unfinished(
                &mut cache,
                &taken,
                |_| false,
                |unfinished| interrupted(unfinished, policy),
            )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_whose_lease_changes_is_not_dead_whatever_the_database_clock_says() {
        let node = |name: &str| NodeEpoch { node: Arc::from(name), epoch: 1 };
        let leases = |running| vec![("dead".to_owned(), 5), ("running".to_owned(), running)];
        let mut seen = SeenLeases::default();
        seen.update(leases(100), 1_000);
        // The database clock was set forward: both leases look over, and one is renewed.
        seen.update(leases(3_600_100), 3_000);
        seen.update(leases(3_602_100), 5_000);
        let time = Duration::from_secs(4);
        assert!(seen.is_silent_for(&node("dead"), time, 5_000));
        assert!(!seen.is_silent_for(&node("dead"), time, 4_999));
        assert!(!seen.is_silent_for(&node("running"), time, 5_000));
        assert!(!seen.is_silent_for(&node("unknown"), time, 50_000));
    }
}
