//! A bank transfer within Vietnam, by a VietQR code.

use nexo_domain::billing::vietqr;
use nexo_domain::billing::vietqr::BankAccount;
use nexo_entities::store::billing::deposits::Deposit;

use super::{Instructions, Provider};
use crate::qr;

/// Transfers to one account.
pub struct BankTransfer {
    account: BankAccount,
}

impl BankTransfer {
    pub fn to(account: BankAccount) -> BankTransfer {
        BankTransfer { account }
    }
}

impl Provider for BankTransfer {
    fn name(&self) -> &'static str {
        "bank_transfer"
    }

    fn instructions(&self, deposit: &Deposit) -> Instructions {
        let payload = vietqr::payload(&self.account, deposit.vnd, &deposit.reference);
        Instructions {
            account: Some(self.account.clone()),
            qr_svg: payload.and_then(|text| qr::file(&text)),
        }
    }
}
