//! The deliveries that a saga of this process is working on.
//!
//! What the database calls `sent` and is not here has lost its saga, and is the reaper's.

use std::collections::HashSet;
use std::sync::Arc;

use dashmap::DashSet;
use nexo_domain::ids::DeliveryId;

/// The set; cheap to ask.
#[derive(Debug, Default)]
pub struct Live(DashSet<DeliveryId>);

/// A delivery in the set until this is dropped.
#[derive(Debug)]
pub struct LiveDelivery {
    live: Arc<Live>,
    delivery_id: DeliveryId,
}

impl Live {
    pub fn begin(self: &Arc<Self>, delivery_id: DeliveryId) -> LiveDelivery {
        self.0.insert(delivery_id);
        LiveDelivery {
            live: Arc::clone(self),
            delivery_id,
        }
    }

    /// The set as it is now.
    pub fn snapshot(&self) -> HashSet<DeliveryId> {
        self.0.iter().map(|id| *id).collect()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for LiveDelivery {
    fn drop(&mut self) {
        self.live.0.remove(&self.delivery_id);
    }
}
