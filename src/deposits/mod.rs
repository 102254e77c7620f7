//! Top-ups: each payment method is a [`Provider`] with instructions for the customer. A payment is credited by the
//! bank's notification or by an operator, once per reference.

use std::sync::Arc;

use nexo_actors::clock::unix_ms;
use nexo_domain::billing::deposit::{DepositReference, VndRate};
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
mod provider;

use bank_transfer::BankTransfer;
use by_hand::ByHand;
pub use provider::{Instructions, Provider};

/// The largest top-up, a protection against typing errors.
pub const MAX_TOP_UP: Micros = Micros::new(100_000_000_000);

/// The reason why a top-up was not opened.
#[derive(Debug, Error)]
pub enum TopUpError {
    #[error("a top-up is at least {minimum} and at most {MAX_TOP_UP} USD")]
    Amount { minimum: Micros },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The configured payment methods.
pub struct TopUps {
    providers: Vec<Arc<dyn Provider>>,
    pub rate: VndRate,
    /// The smallest top-up.
    pub minimum: Micros,
}

impl TopUps {
    /// The configured methods. The first one is the default.
    pub fn of(config: &DepositsConfig) -> TopUps {
        let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
        if let Some(account) = &config.bank {
            providers.push(Arc::new(BankTransfer::new(account.clone())));
        }
        providers.push(Arc::new(ByHand));
        TopUps { providers, rate: config.rate, minimum: config.minimum }
    }

    /// The names of the methods.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.providers.iter().map(|provider| provider.name())
    }

    /// Opens a top-up with the method of this name, or with the default one if the name is unknown.
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
        let minimum = self.minimum;
        if amount < minimum || amount > MAX_TOP_UP {
            return Err(TopUpError::Amount { minimum });
        }
        let vnd = self.rate.vnd(amount).ok_or(TopUpError::Amount { minimum })?;
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
        Ok(store.billing().open_deposit(new).await?)
    }

    /// The payment instructions of a top-up; empty if its method is no longer configured.
    pub fn instructions(&self, deposit: &Deposit) -> Instructions {
        let mut providers = self.providers.iter();
        let provider = providers.find(|provider| provider.name() == deposit.provider);
        provider.map_or_else(Instructions::default, |p| p.instructions(deposit))
    }
}
