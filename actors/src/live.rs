//! The deliveries that a saga of this process is working on.
//!
//! What the database calls `sent` and is not here has lost its saga, and is the reaper's.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashSet;
use nexo_domain::ids::DeliveryId;

/// The set; cheap to ask.
#[derive(Debug, Default)]
pub struct Live {
    deliveries: DashSet<DeliveryId>,
    /// Whether one was dropped without being known to be settled.
    has_lost: AtomicBool,
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
