//! The deliveries that a saga of this process works on.
//!
//! A delivery that is `sent` in the database and missing here has lost its saga. The reaper settles it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dashmap::{DashMap, DashSet};
use nexo_domain::call::steps::{CallStep, MAX_STEPS, StepKind};
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::ids::DeliveryId;

/// The set of live deliveries, shared by all threads.
#[derive(Debug, Default)]
pub struct LiveDeliveries {
    deliveries: DashSet<DeliveryId>,
    /// Whether a delivery left the set without being settled.
    has_lost: AtomicBool,
    progress: DashMap<DeliveryId, Progress>,
    /// Deliveries that may have been debited and were never dialled.
    in_doubt: DashMap<DeliveryId, Doubt>,
}

/// The progress of a call that a gateway has accepted. Times are UTC milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub gateway: String,
    /// When the INVITE was sent.
    pub started_at_ms: i64,
    pub accepted_at_ms: i64,
    pub ringing_at_ms: Option<i64>,
    pub answered_at_ms: Option<i64>,
    pub steps: Vec<CallStep>,
}

impl Progress {
    /// Adds a step, up to [`MAX_STEPS`].
    pub fn add(&mut self, kind: StepKind, at_ms: i64) {
        if self.steps.len() < MAX_STEPS {
            let after_ms = u32::try_from(at_ms - self.started_at_ms).unwrap_or(0);
            self.steps.push(CallStep { kind, after_ms });
        }
    }
}

#[derive(Debug)]
struct Doubt {
    since: Instant,
    /// The request, if it had an idempotency key: it may be repeated.
    request: Option<Arc<IdempotentRequest>>,
}

/// A debit that has not appeared in the database for this long was not posted.
const MAX_DOUBT: Duration = Duration::from_secs(600);

/// A delivery that stays in the set until this is dropped.
#[derive(Debug)]
pub struct LiveDelivery {
    live: Arc<LiveDeliveries>,
    delivery_id: DeliveryId,
    is_settled: bool,
}

impl LiveDeliveries {
    pub fn begin(self: &Arc<Self>, delivery_id: DeliveryId) -> LiveDelivery {
        self.deliveries.insert(delivery_id);
        LiveDelivery { live: Arc::clone(self), delivery_id, is_settled: false }
    }

    /// Returns whether a delivery was lost since the previous call of this method.
    pub fn take_lost(&self) -> bool {
        self.has_lost.swap(false, Ordering::AcqRel)
    }

    /// `Some` if the delivery was given up before it was dialled. It holds the request, if that had an
    /// idempotency key.
    pub fn doubt(&self, delivery_id: &DeliveryId) -> Option<Option<Arc<IdempotentRequest>>> {
        let doubt = self.in_doubt.get(delivery_id)?;
        Some(doubt.request.clone())
    }

    /// Removes the doubts that are older than [`MAX_DOUBT`].
    pub fn forget_old_doubts(&self) {
        self.in_doubt.retain(|_, doubt| doubt.since.elapsed() < MAX_DOUBT);
    }

    /// Records that deliveries may have been lost, so that the reaper scans for them.
    pub fn expect_lost(&self) {
        self.has_lost.store(true, Ordering::Release);
    }

    pub fn contains(&self, delivery_id: DeliveryId) -> bool {
        self.deliveries.contains(&delivery_id)
    }

    /// The progress of the delivery's call, if this process makes the call and a gateway has accepted it.
    pub fn progress(&self, delivery_id: DeliveryId) -> Option<Progress> {
        self.progress.get(&delivery_id).map(|known| known.clone())
    }

    pub fn len(&self) -> usize {
        self.deliveries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }
}

impl LiveDelivery {
    /// Publishes the progress of the call.
    pub fn show(&self, progress: &Progress) {
        self.live.progress.insert(self.delivery_id, progress.clone());
    }

    /// Records that the delivery may have been debited and is not dialled. The reaper settles it, and `request`
    /// may then be repeated.
    pub fn in_doubt(self, request: Option<Arc<IdempotentRequest>>) {
        let since = Instant::now();
        let doubt = Doubt { since, request };
        self.live.in_doubt.insert(self.delivery_id, doubt);
    }

    /// Records that the delivery has its final state, or was never written.
    pub fn settled(mut self) {
        self.is_settled = true;
    }
}

impl Drop for LiveDelivery {
    fn drop(&mut self) {
        self.live.deliveries.remove(&self.delivery_id);
        self.live.progress.remove(&self.delivery_id);
        if !self.is_settled {
            self.live.expect_lost();
        }
    }
}
