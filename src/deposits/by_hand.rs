//! A payment that an operator arranges, such as an invoice, cash or another currency.

use nexo_entities::store::billing::deposits::Deposit;

use super::provider::{Instructions, Provider};

/// The customer needs only the reference; an operator approves the top-up.
pub struct ByHand;

impl Provider for ByHand {
    fn name(&self) -> &'static str {
        "by_hand"
    }

    fn instructions(&self, _: &Deposit) -> Instructions {
        Instructions::default()
    }
}
