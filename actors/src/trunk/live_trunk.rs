//! A carrier's trunk as it is configured now. A reload replaces it; who has looked goes on with what was there.

use std::sync::Arc;

use arc_swap::ArcSwap;
use nexo_domain::phone::carrier_plan::Carrier;

use crate::trunk::carrier::Trunk;

/// The trunk of one carrier, which stays the same.
#[derive(Debug)]
pub struct LiveTrunk {
    pub carrier: Carrier,
    now: ArcSwap<Trunk>,
}

impl LiveTrunk {
    pub fn new(trunk: Trunk) -> Arc<LiveTrunk> {
        Arc::new(LiveTrunk {
            carrier: trunk.carrier,
            now: ArcSwap::from_pointee(trunk),
        })
    }

    /// The trunk as it is now. Held for one OTP, so that the places of its gateways mean the same to the end.
    pub fn now(&self) -> Arc<Trunk> {
        self.now.load_full()
    }

    /// Takes effect for the OTPs that come from here on.
    pub(crate) fn replace(&self, trunk: Trunk) {
        self.now.store(Arc::new(trunk));
    }
}
