//! Settles what lost its saga: deliveries of this node that are `sent` and that nobody works on.
//! At the start of a process that is everything its last life left behind.

use std::sync::Arc;
use std::time::Duration;

use nexo_domain::call::outcome::{Ending, NO_ROUTE, Outcome, RefundPolicy, Status};
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::webhook::Event;
use nexo_entities::store::deliveries::recovery::Unfinished;
use nexo_entities::store::ledger::posting::{NodeEpoch, Settlement, WalletCache};
use nexo_entities::store::{Store, StoreError};

use crate::clock;
use crate::dispatch::live_deliveries::Live;
use crate::node::lease::Lease;

/// How often it looks.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Where no saga is known to have died it looks only this rarely: going through all that is `sent`
/// takes long where many calls are in progress.
const LOOKS_A_ROUND: u64 = 15;
/// After a death: until its delivery is old enough, and once more.
const LOOKS_FOR_LOST: u64 = 2 + (YOUNGEST_MS as u64).div_ceil(LOOK_EVERY.as_millis() as u64);
/// A delivery younger than this may not be in the set of live ones that is compared with.
const YOUNGEST_MS: i64 = 3_000;
/// How often windows and kept answers that are over, and changes that everybody has seen, are dropped.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How many kept answers that are over are dropped in one transaction: a short one, since others wait to
/// write.
const ANSWERS_AT_ONCE: u32 = 500;
/// A node that lags behind by more than this forgets all that it remembers.
const KEEP_CHANGES_MS: i64 = 3_600_000;
/// No attempt is `sending` for so long, unless its sender is gone.
const LONGEST_POST_MS: i64 = 600_000;

/// The end of a delivery that its process gave up.
pub(crate) fn interrupted(unfinished: &Unfinished, policy: RefundPolicy) -> Settlement {
    let delivery = &unfinished.delivery;
    let outcome = Outcome::of(&Ending::Interrupted, policy);
    let completed_at_ms = clock::unix_ms();
    let event = Event {
        delivery_id: delivery.id,
        phone: unfinished.phone,
        carrier: delivery.carrier,
        status: outcome.status,
        cost: delivery.cost,
        error_code: outcome.error_code,
        created_at_ms: delivery.created_at_ms,
        completed_at_ms,
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
        // Its phone may have rung: the window is kept.
        release_window: false,
        attempts: Vec::new(),
        event: Some(event),
        trace: None,
        frees: None,
    }
}

/// The end of a delivery that was given up before anybody was called: as if no gateway had taken it.
/// `frees` is its request, where that may be made again under its idempotency key.
fn never_dialled(unfinished: &Unfinished, frees: Option<Arc<IdempotentRequest>>) -> Settlement {
    Settlement {
        status: Status::Failed,
        error_code: Some(NO_ROUTE),
        carrier_status: Some("not_placed".into()),
        refund: true,
        release_window: true,
        event: None,
        frees,
        ..interrupted(unfinished, RefundPolicy::Carrier)
    }
}

/// Settles everything that this node's last life left `sent`. To be called before the port opens.
/// Returns how many.
///
/// # Errors
/// What the database fails with.
pub async fn recover(
    store: &Store,
    node: &NodeEpoch,
    policy: RefundPolicy,
) -> Result<usize, StoreError> {
    settle(store, node, i64::MAX, &Live::default(), policy).await
}

async fn settle(
    store: &Store,
    node: &NodeEpoch,
    before_ms: i64,
    live: &Live,
    policy: RefundPolicy,
) -> Result<usize, StoreError> {
    let mut cache = WalletCache::default();
    let at_work = live.snapshot();
    store
        .settle_unfinished(
            &mut cache,
            node,
            before_ms,
            &at_work,
            |unfinished| match live.doubt(&unfinished.delivery.id) {
                Some(request) => never_dialled(unfinished, request),
                None => interrupted(unfinished, policy),
            },
        )
        .await
}

/// Looks until the process ends, or its store stops: the next start does the rest.
pub async fn reap(store: Store, lease: Arc<Lease>, live: Arc<Live>, policy: RefundPolicy) {
    let reaped = metrics::counter!("nexo_reaped_deliveries_total");
    let mut look_due = tokio::time::interval(LOOK_EVERY);
    look_due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut looks, mut lost_until) = (0u64, 0);
    let mut tidy_due = tokio::time::interval(TIDY_EVERY);
    while store.stopped().is_none() {
        tokio::select! {
            _ = look_due.tick() => {
                looks += 1;
                if live.take_lost() {
                    lost_until = looks + LOOKS_FOR_LOST;
                }
                if looks > lost_until && looks % LOOKS_A_ROUND != 0 {
                    continue;
                }
                let before_ms = clock::unix_ms() - YOUNGEST_MS;
                match settle(&store, &lease.node(), before_ms, &live, policy).await {
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
            _ = tidy_due.tick() => {
                live.tidy();
                if let Err(error) = tidy(&store).await {
                    tracing::warn!(%error, "old windows, changes and kept answers could not be dropped");
                }
            }
        }
    }
}

async fn tidy(store: &Store) -> Result<(), StoreError> {
    let now_ms = clock::unix_ms();
    store.drop_windows(now_ms).await?;
    store.trim_changes(now_ms - KEEP_CHANGES_MS).await?;
    while store.drop_kept_answers(now_ms, ANSWERS_AT_ONCE).await? == u64::from(ANSWERS_AT_ONCE) {}
    let given_up = store
        .give_up_webhooks(now_ms - LONGEST_POST_MS, now_ms)
        .await?;
    if given_up > 0 {
        tracing::warn!(
            given_up,
            "webhook attempts whose sender is gone are unknown"
        );
    }
    Ok(())
}
