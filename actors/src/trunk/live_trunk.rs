//! The current configuration of a carrier's trunk. A reload replaces it; OTPs in progress keep the one they started
//! with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use nexo_domain::phone::carrier_plan::Carrier;

use crate::trunk::carrier::Trunk;

/// The replaceable trunk of one carrier.
#[derive(Debug)]
pub struct LiveTrunk {
    pub carrier: Carrier,
    current: ArcSwap<Trunk>,
}

impl LiveTrunk {
    pub fn new(trunk: Trunk) -> Arc<LiveTrunk> {
        Arc::new(LiveTrunk { carrier: trunk.carrier, current: ArcSwap::from_pointee(trunk) })
    }

    /// The current trunk. An OTP keeps it to its end, so that the indexes of its gateways stay the same.
    pub fn current(&self) -> Arc<Trunk> {
        self.current.load_full()
    }

    /// Takes effect for the OTPs that arrive from now on.
    pub(crate) fn replace(&self, trunk: Trunk) {
        self.current.store(Arc::new(trunk));
    }
}
