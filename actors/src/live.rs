//! The deliveries that a saga of this process is working on.
//!
//! What the database calls `sent` and is not here has lost its saga, and is the reaper's.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashSet;
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::ids::DeliveryId;

/// For how long a delivery that was never dialled is remembered: the reaper finds it much sooner, if it was
/// ever written.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The set; cheap to ask.
#[derive(Debug, Default)]
pub struct Live {
    deliveries: DashSet<DeliveryId>,
    /// Whether one was dropped without being known to be settled.
    has_lost: AtomicBool,
    /// Those lost before anybody was called, whose requests may be made again.
    not_dialled: Mutex<HashMap<DeliveryId, NotDialled>>,
}

#[derive(Debug)]
struct NotDialled {
    request: Arc<IdempotentRequest>,
    since: Instant,
}

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

    /// The request of a delivery that was lost before anybody was called, where that carried an
    /// idempotency key.
    pub fn request_not_dialled(&self, delivery_id: DeliveryId) -> Option<Arc<IdempotentRequest>> {
        let lost = self
            .not_dialled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lost.get(&delivery_id).map(|lost| Arc::clone(&lost.request))
    }

    pub fn contains(&self, delivery_id: DeliveryId) -> bool {
        self.deliveries.contains(&delivery_id)
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
    /// It is lost: whether it was written is not known, but nobody was called. The reaper settles it, and
    /// lets `request` be made again.
    pub fn not_dialled(self, request: Option<Arc<IdempotentRequest>>) {
        if let Some(request) = request {
            let since = Instant::now();
            let mut lost = self
                .live
                .not_dialled
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            lost.retain(|_, lost| since.duration_since(lost.since) < REMEMBERED);
            lost.insert(self.delivery_id, NotDialled { request, since });
        }
    }

    /// It has its final state, or was never written.
    pub fn settled(mut self) {
        self.is_settled = true;
    }
}

impl Drop for LiveDelivery {
    fn drop(&mut self) {
        self.live.deliveries.remove(&self.delivery_id);
        if !self.is_settled {
            self.live.has_lost.store(true, Ordering::Release);
        }
    }
}
