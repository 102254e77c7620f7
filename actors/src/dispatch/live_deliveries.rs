//! The deliveries that a saga of this process is working on.
//!
//! What the database calls `sent` and is not here has lost its saga, and is the reaper's.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dashmap::{DashMap, DashSet};
use nexo_domain::call::steps::{CallStep, MOST_STEPS, StepKind};
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::ids::DeliveryId;

/// The set; cheap to ask.
#[derive(Debug, Default)]
pub struct Live {
    deliveries: DashSet<DeliveryId>,
    /// Whether one was dropped without being known to be settled.
    has_lost: AtomicBool,
    /// How far the calls have come.
    progress: DashMap<DeliveryId, Progress>,
    /// Those that may have been paid, and that nobody was called for.
    in_doubt: DashMap<DeliveryId, Doubt>,
}

/// How far a call that a gateway has taken has come. Times are UTC milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub gateway: String,
    /// When the INVITE went out.
    pub started_at_ms: i64,
    pub accepted_at_ms: i64,
    pub ringing_at_ms: Option<i64>,
    pub answered_at_ms: Option<i64>,
    pub steps: Vec<CallStep>,
}

impl Progress {
    /// Adds a step, as long as there is room.
    pub fn add(&mut self, kind: StepKind, at_ms: i64) {
        if self.steps.len() < MOST_STEPS {
            let after_ms = u32::try_from(at_ms - self.started_at_ms).unwrap_or(0);
            self.steps.push(CallStep { kind, after_ms });
        }
    }
}

#[derive(Debug)]
struct Doubt {
    since: Instant,
    /// The request, where that carried an idempotency key: it may be made again.
    request: Option<Arc<IdempotentRequest>>,
}

/// A debit that has not turned up after so long was not posted.
const DOUBT_LASTS: Duration = Duration::from_secs(600);

/// A delivery in the set until this is dropped.
#[derive(Debug)]
pub struct LiveDelivery {
    live: Arc<Live>,
    delivery_id: DeliveryId,
    is_settled: bool,
}

impl Live {
    pub fn begin(self: &Arc<Self>, delivery_id: DeliveryId) -> LiveDelivery {
        self.deliveries.insert(delivery_id);
        LiveDelivery {
            live: Arc::clone(self),
            delivery_id,
            is_settled: false,
        }
    }

    /// Whether a delivery was lost since this was asked last: there is something to reap.
    pub fn take_lost(&self) -> bool {
        self.has_lost.swap(false, Ordering::AcqRel)
    }

    /// Whether the delivery was given up before anybody was called, and then its request, where that
    /// carried an idempotency key.
    pub fn doubt(&self, delivery_id: &DeliveryId) -> Option<Option<Arc<IdempotentRequest>>> {
        let doubt = self.in_doubt.get(delivery_id)?;
        Some(doubt.request.clone())
    }

    /// Forgets the doubts that are old.
    pub fn tidy(&self) {
        self.in_doubt
            .retain(|_, doubt| doubt.since.elapsed() < DOUBT_LASTS);
    }

    /// There may be something to reap.
    pub fn expect_lost(&self) {
        self.has_lost.store(true, Ordering::Release);
    }

    pub fn contains(&self, delivery_id: DeliveryId) -> bool {
        self.deliveries.contains(&delivery_id)
    }

    /// How far the delivery's call has come, where this process makes it and a gateway has taken it.
    pub fn progress(&self, delivery_id: DeliveryId) -> Option<Progress> {
        self.progress.get(&delivery_id).map(|known| known.clone())
    }

    /// The set as it is now.
    pub fn snapshot(&self) -> HashSet<DeliveryId> {
        self.deliveries.iter().map(|id| *id).collect()
    }

    pub fn len(&self) -> usize {
        self.deliveries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }
}

impl LiveDelivery {
    /// Shows how far its call has come.
    pub fn show(&self, progress: &Progress) {
        self.live
            .progress
            .insert(self.delivery_id, progress.clone());
    }

    /// It may have been paid; nobody was called for it, and nobody will be. The reaper settles it, and lets
    /// `request` be made again.
    pub fn in_doubt(self, request: Option<Arc<IdempotentRequest>>) {
        let since = Instant::now();
        let doubt = Doubt { since, request };
        self.live.in_doubt.insert(self.delivery_id, doubt);
    }

    /// It has its final state, or was never written.
    pub fn settled(mut self) {
        self.is_settled = true;
    }
}

impl Drop for LiveDelivery {
    fn drop(&mut self) {
        self.live.deliveries.remove(&self.delivery_id);
        self.live.progress.remove(&self.delivery_id);
        if !self.is_settled {
            self.live.has_lost.store(true, Ordering::Release);
        }
    }
}
