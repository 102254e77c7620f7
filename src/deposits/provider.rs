//! What a payment method provides.

use nexo_domain::billing::vietqr::BankAccount;
use nexo_entities::store::billing::deposits::Deposit;

/// A payment method.
pub trait Provider: Send + Sync {
    /// The name stored with each top-up.
    fn name(&self) -> &'static str;

    /// The payment instructions of this top-up.
    fn instructions(&self, deposit: &Deposit) -> Instructions;
}

/// The payment instructions of one top-up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instructions {
    /// The receiving account; `None` if an operator arranges the payment.
    pub account: Option<BankAccount>,
    /// A QR code for banking apps, as an SVG file.
    pub qr_svg: Option<String>,
}
