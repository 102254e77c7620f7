//! Which carrier hosts a number: its number-portability record, else its range.

use arc_swap::ArcSwap;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::{Carrier, CarrierPlan};
use nexo_domain::phone::portability::PortTable;
use nexo_entities::store::{Store, StoreError};

/// The numbering plan and the ported numbers, held in memory.
pub struct Routing {
    pub plan: CarrierPlan,
    ports: ArcSwap<PortTable>,
}

impl Routing {
    /// Reads the current set of ported numbers.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn load(store: &Store) -> Result<Routing, StoreError> {
        Ok(Routing {
            plan: CarrierPlan::vietnam(),
            ports: ArcSwap::from_pointee(store.operations().ported_numbers().await?),
        })
    }

    /// Reads the ported numbers again. The old set stays in force until the new one is read completely.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let ports = store.operations().ported_numbers().await?;
        tracing::info!(rows = ports.len(), "ported numbers replaced");
        self.ports.store(ports.into());
        Ok(())
    }

    /// The carrier through which the number is called.
    pub fn carrier(&self, phone: Phone) -> Option<Carrier> {
        let ported = self.ports.load().carrier(phone);
        ported.or_else(|| phone.carrier(&self.plan))
    }
}
