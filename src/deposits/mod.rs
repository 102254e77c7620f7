//! Topping up: each way to pay is a [`Provider`], which says how a top-up is paid. What was paid is credited by
//! the bank's notification or an operator, once for each reference.

use std::sync::Arc;

use nexo_actors::clock::unix_ms;
use nexo_domain::billing::deposit::{DepositReference, VndRate};
use nexo_domain::billing::vietqr::BankAccount;
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_entities::store::billing::deposits::{Deposit, NewDeposit};
use nexo_entities::store::{Store, StoreError};
use rand::Rng;
use thiserror::Error;
use uuid::Uuid;

use crate::config::deposits::DepositsConfig;

mod bank_transfer;
mod by_hand;

use bank_transfer::BankTransfer;
use by_hand::ByHand;

/// The largest top-up: a typing error should not become a payment.
pub const MOST: Micros = Micros::new(100_000_000_000);

/// A way to pay.
pub trait Provider: Send + Sync {
    /// As top-ups are kept with it.
    fn name(&self) -> &'static str;

    /// How this top-up is paid.
    fn instructions(&self, deposit: &Deposit) -> Instructions;
}

/// How one top-up is paid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instructions {
    /// Where to; `None` where an operator arranges it.
    pub account: Option<BankAccount>,
    /// A QR code that banks' apps read, as an SVG picture.
    pub qr_svg: Option<String>,
}

/// Why a top-up was not opened.
#[derive(Debug, Error)]
pub enum TopUpError {
    #[error("a top-up is at least {least} and at most {MOST} USD")]
    Amount { least: Micros },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All ways to pay, as they are configured.
pub struct TopUps {
    providers: Vec<Arc<dyn Provider>>,
    pub rate: VndRate,
    pub least: Micros,
}

impl TopUps {
    /// The configured ways. The first one is what a customer is offered.
    pub fn of(config: &DepositsConfig) -> TopUps {
        let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
        if let Some(account) = &config.bank {
            providers.push(Arc::new(BankTransfer::to(account.clone())));
        }
        providers.push(Arc::new(ByHand));
        TopUps {
            providers,
            rate: config.rate,
            least: config.least,
        }
    }

    /// The names of the ways that there are.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.providers.iter().map(|provider| provider.name())
    }

    /// Opens a top-up by the way of this name, or the first one where there is none of it.
    ///
    /// # Errors
    /// [`TopUpError`].
    pub async fn open(
        &self,
        store: &Store,
        account_id: AccountId,
        provider: &str,
        amount: Micros,
    ) -> Result<Uuid, TopUpError> {
        let least = self.least;
        if amount < least || amount > MOST {
            return Err(TopUpError::Amount { least });
        }
        let vnd = self.rate.vnd(amount).ok_or(TopUpError::Amount { least })?;
        let mut random = [0; 8];
        rand::rng().fill_bytes(&mut random);
        let named = self.names().find(|name| *name == provider);
        let new = NewDeposit {
            account_id,
            provider: named.or(self.names().next()).unwrap_or_default(),
            reference: DepositReference::from_random(random),
            amount,
            vnd,
            rate: self.rate,
            at_ms: unix_ms(),
        };
        Ok(store.open_deposit(new).await?)
    }

    /// How a top-up is paid. Nothing where its way is not configured any more.
    pub fn instructions(&self, deposit: &Deposit) -> Instructions {
        let mut providers = self.providers.iter();
        let provider = providers.find(|provider| provider.name() == deposit.provider);
        provider.map_or_else(Instructions::default, |p| p.instructions(deposit))
    }
}
