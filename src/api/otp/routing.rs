//! Which carrier hosts a number: its port record, else its range.

use arc_swap::ArcSwap;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::{Carrier, CarrierPlan};
use nexo_domain::phone::portability::PortTable;
use nexo_entities::store::{Store, StoreError};

/// The numbering plan and the ported numbers, in memory.
pub struct Routing {
    pub plan: CarrierPlan,
    ports: ArcSwap<PortTable>,
}

impl Routing {
    /// Reads the ported numbers in force.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn load(store: &Store) -> Result<Routing, StoreError> {
        Ok(Routing {
            plan: CarrierPlan::vietnam(),
            ports: ArcSwap::from_pointee(store.ports().await?),
        })
    }

    /// Reads them again. Until then, and where that fails, the older ones stay.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let ports = store.ports().await?;
        tracing::info!(rows = ports.len(), "ported numbers replaced");
        self.ports.store(ports.into());
        Ok(())
    }

    /// The carrier to call the number through.
    pub fn carrier(&self, phone: Phone) -> Option<Carrier> {
        let ported = self.ports.load().carrier(phone);
        ported.or_else(|| phone.carrier(&self.plan))
    }
}
