//! A payment that an operator arranges: an invoice, cash, another currency.

use nexo_entities::store::billing::deposits::Deposit;

use super::{Instructions, Provider};

/// The reference is all that the customer needs; an operator approves.
pub struct ByHand;

impl Provider for ByHand {
    fn name(&self) -> &'static str {
        "by_hand"
    }

    fn instructions(&self, _: &Deposit) -> Instructions {
        Instructions::default()
    }
}
