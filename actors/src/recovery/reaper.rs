//! Settles deliveries that lost their saga: those of this node that are `sent` and that no saga works on.
//! At the start of a process these are all deliveries that its last run left behind.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nexo_domain::call::outcome::{Ending, NO_ROUTE, Outcome, RefundPolicy, Status};
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::ids::WebhookAttemptId;
use nexo_domain::webhook::Event;
use nexo_entities::store::deliveries::recovery::UnfinishedDelivery;
use nexo_entities::store::ledger::posting::{NodeEpoch, Settlement, WalletCache};
use nexo_entities::store::{Store, StoreError};

use crate::clock;
use crate::dispatch::live_deliveries::LiveDeliveries;
use crate::node::lease::Lease;

/// How often the reaper wakes up.
pub const SCAN_INTERVAL: Duration = Duration::from_secs(2);
/// Without a known loss, one wake-up in this number scans: reading all `sent` deliveries takes long while many
/// calls are in progress.
const TICKS_PER_IDLE_SCAN: u64 = 15;
/// The number of wake-ups that scan after a loss: a debit in doubt may become visible a little later.
const SCANS_AFTER_LOSS: u64 = 4;
/// How often expired windows and stored responses, and old changes, are deleted.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60);
/// How many stored responses one transaction deletes. The transaction is short because other writers wait.
const RESPONSES_PER_BATCH: u32 = 500;
/// How long changes are kept. A node that lags behind by more clears its caches.
const CHANGE_RETENTION_MS: i64 = 3_600_000;
/// The longest time in `sending`. After it the attempt becomes `unknown`.
const MAX_POST_MS: i64 = 600_000;

/// The settlement of a delivery whose call was interrupted.
pub(crate) fn interrupted(unfinished: &UnfinishedDelivery, policy: RefundPolicy) -> Settlement {
    let delivery = &unfinished.delivery;
    let outcome = Outcome::of(&Ending::Interrupted, policy);
    // The clock may have been set back since the delivery was accepted.
    let completed_at_ms = clock::unix_ms().max(delivery.created_at_ms);
    let event = Event {
        delivery_id: delivery.id,
        phone: unfinished.phone,
        carrier: delivery.carrier,
        status: outcome.status,
        cost: delivery.cost,
        error_code: outcome.error_code,
        created_at_ms: delivery.created_at_ms,
        completed_at_ms,
        fields: delivery.fields.clone(),
    };
    Settlement {
        delivery_id: delivery.id,
        account_id: delivery.account_id,
        test: delivery.test,
        phone: unfinished.phone,
        status: outcome.status,
        error_code: outcome.error_code,
        carrier_status: Some(outcome.carrier_status),
        completed_at_ms,
        parts: unfinished.paid,
        refund: outcome.refund,
        // The phone may have rung: its window stays held.
        release_window: false,
        attempts: Vec::new(),
        event: Some(event),
        trace: None,
        releases_key: None,
        takes_back: None,
    }
}

/// The settlement of a delivery that was never dialled: the same as if no gateway had accepted it.
/// `releases_key` is its request, if that may be repeated under its idempotency key.
fn never_dialled(
    unfinished: &UnfinishedDelivery,
    releases_key: Option<Arc<IdempotentRequest>>,
) -> Settlement {
    Settlement {
        status: Status::Failed,
        error_code: Some(NO_ROUTE),
        carrier_status: Some("not_placed".into()),
        refund: true,
        release_window: true,
        event: None,
        releases_key,
        takes_back: unfinished.delivery.verification_id,
        ..interrupted(unfinished, RefundPolicy::Carrier)
    }
}

/// Settles all deliveries that this node's last run left `sent`. Must be called before the port opens.
/// Returns their number.
///
/// # Errors
/// Errors of the database.
pub async fn recover(
    store: &Store,
    node: &NodeEpoch,
    policy: RefundPolicy,
) -> Result<usize, StoreError> {
    settle(store, node, &LiveDeliveries::default(), policy).await
}

async fn settle(
    store: &Store,
    node: &NodeEpoch,
    live: &LiveDeliveries,
    policy: RefundPolicy,
) -> Result<usize, StoreError> {
    let mut cache = WalletCache::default();
    store
        .deliveries()
        .settle_unfinished(
            &mut cache,
            node,
            |delivery| live.contains(delivery),
            |unfinished| match live.doubt(&unfinished.delivery.id) {
                Some(request) => never_dialled(unfinished, request),
                None => interrupted(unfinished, policy),
            },
        )
        .await
}

/// Settles lost deliveries until the process ends or its store stops. The next start settles the rest.
pub async fn reap(
    store: Store,
    lease: Arc<Lease>,
    live: Arc<LiveDeliveries>,
    policy: RefundPolicy,
) {
    let reaped = metrics::counter!("nexo_reaped_deliveries_total");
    let mut scan_due = clock::interval(SCAN_INTERVAL);
    let (mut ticks, mut scan_until) = (0u64, 0);
    let mut cleanup_due = clock::interval(CLEANUP_INTERVAL);
    let mut memory = CleanUpMemory::default();
    while store.stop_reason().is_none() {
        tokio::select! {
            _ = scan_due.tick() => {
                ticks += 1;
                if live.take_lost() {
                    scan_until = ticks + SCANS_AFTER_LOSS;
                }
                if ticks > scan_until && ticks % TICKS_PER_IDLE_SCAN != 0 {
                    continue;
                }
                match settle(&store, &lease.node(), &live, policy).await {
                    Ok(0) => {}
                    Ok(count) => {
                        tracing::warn!(count, "deliveries without a saga were settled");
                        reaped.increment(count as u64);
                    }
                    Err(error) => {
                        live.expect_lost();
                        tracing::warn!(%error, "lost deliveries could not be settled");
                    }
                }
            }
            _ = cleanup_due.tick() => {
                live.forget_old_doubts();
                if let Err(error) = clean_up(&store, &lease, &mut memory).await {
                    tracing::warn!(%error, "expired windows, changes and stored responses could not be deleted");
                }
            }
        }
    }
}

/// What earlier clean-ups saw, and when by the boot clock. Ages are measured by it, not by the times of records, which
/// follow the wall clock.
#[derive(Default)]
struct CleanUpMemory {
    /// The webhook attempts that are `sending`, since the clean-up that found them first.
    posting: HashMap<WebhookAttemptId, i64>,
    /// The last change at each clean-up, oldest first.
    changes: VecDeque<(i64, i64)>,
}

async fn clean_up(
    store: &Store,
    lease: &Lease,
    memory: &mut CleanUpMemory,
) -> Result<(), StoreError> {
    let now_ms = clock::unix_ms();
    let ended_ms = lease.window_clock().now_ms();
    store.phone_windows().delete_ended(ended_ms).await?;
    let last_change = store.cluster().last_change().await?;
    memory.changes.push_back((clock::boot_ms(), last_change));
    while let Some((at_ms, seq)) = memory.changes.front().copied()
        && clock::boot_ms() - at_ms > CHANGE_RETENTION_MS
    {
        store.cluster().trim_changes(seq).await?;
        memory.changes.pop_front();
    }
    while store.deliveries().delete_expired_answers(now_ms, RESPONSES_PER_BATCH).await?
        == u64::from(RESPONSES_PER_BATCH)
    {}
    while store.deliveries().delete_answers_of_ended_windows(ended_ms, RESPONSES_PER_BATCH).await?
        == u64::from(RESPONSES_PER_BATCH)
    {}
    let sending: HashSet<WebhookAttemptId> =
        store.webhooks().sending().await?.into_iter().collect();
    memory.posting.retain(|attempt, _| sending.contains(attempt));
    let boot_ms = clock::boot_ms();
    for attempt in sending {
        memory.posting.entry(attempt).or_insert(boot_ms);
    }
    let stuck = memory.posting.iter().filter(|(_, since_ms)| boot_ms - **since_ms > MAX_POST_MS);
    let stuck: Vec<WebhookAttemptId> = stuck.map(|(attempt, _)| *attempt).collect();
    let given_up = store.webhooks().expire_stuck(&stuck, now_ms).await?;
    if given_up > 0 {
        tracing::warn!(given_up, "webhook attempts without a sender are now unknown");
    }
    Ok(())
}
