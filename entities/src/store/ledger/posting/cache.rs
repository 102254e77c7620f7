//! The wallets and endpoints that one wallet actor knows by heart.

use std::collections::HashMap;

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::ids::{AccountId, EndpointId};

use super::{Debit, Pace, Settlement};

/// Past this many accounts the cache starts anew: a bound on memory, about 20 MB.
const MAX_ACCOUNTS: usize = 100_000;

/// How many batches go step by step after another writer was met.
const WARY_BATCHES: u8 = 16;

/// A wallet as last committed or read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wallet {
    pub buckets: Buckets,
    pub version: i64,
    /// Whether its account is closed, or suspended.
    pub closed: bool,
    /// Whether somebody earns by what this account has delivered. Never becomes true later.
    pub referred: bool,
}

impl Wallet {
    /// The wallet after its row was written.
    pub(super) fn written(self) -> Wallet {
        Wallet {
            version: self.version + 1,
            ..self
        }
    }
}

/// Wallets and endpoints as last committed or read. One owner at a time; being out of date costs a
/// second round, never a wrong wallet.
#[derive(Debug, Default)]
pub struct WalletCache {
    wallets: HashMap<AccountId, Wallet>,
    endpoints: HashMap<AccountId, Vec<EndpointId>>,
    /// How many of the next batches go step by step.
    wary: u8,
}

impl WalletCache {
    pub fn new() -> Self {
        Self::default()
    }

    /// What the account held after the last commit or read, where that is known.
    pub fn buckets(&self, account: AccountId) -> Option<Buckets> {
        self.wallets.get(&account).map(|wallet| wallet.buckets)
    }

    /// The next batch reads this account's wallet anew.
    pub fn forget_wallet(&mut self, account: AccountId) {
        self.wallets.remove(&account);
    }

    /// The next batch reads this account's active webhook endpoints anew.
    pub fn forget_endpoints(&mut self, account: AccountId) {
        self.endpoints.remove(&account);
    }

    /// How the next batch is to go about it.
    pub(super) fn pace(&mut self) -> Pace {
        match self.wary.checked_sub(1) {
            Some(left) => {
                self.wary = left;
                Pace::StepByStep
            }
            None => Pace::Bold,
        }
    }

    /// Another writer was met: where there was one there will be more.
    pub(super) fn expect_others(&mut self) {
        self.wary = WARY_BATCHES;
    }

    pub(super) fn wallet(&self, account: AccountId) -> Option<Wallet> {
        self.wallets.get(&account).copied()
    }

    pub(super) fn endpoints(&self, account: AccountId) -> Option<&Vec<EndpointId>> {
        self.endpoints.get(&account)
    }

    pub(super) fn put(&mut self, account: AccountId, wallet: Wallet) {
        self.wallets.insert(account, wallet);
    }

    pub(super) fn learn(
        &mut self,
        wallets: HashMap<AccountId, Wallet>,
        endpoints: HashMap<AccountId, Vec<EndpointId>>,
    ) {
        if self.wallets.len() > MAX_ACCOUNTS {
            self.wallets.clear();
        }
        if self.endpoints.len() > MAX_ACCOUNTS {
            self.endpoints.clear();
        }
        self.wallets.extend(wallets);
        self.endpoints.extend(endpoints);
    }

    pub(super) fn forget_touched(&mut self, debits: &[Debit], settlements: &[Settlement]) {
        let accounts = debits
            .iter()
            .map(|d| d.account_id)
            .chain(settlements.iter().map(|s| s.account_id));
        for account in accounts {
            self.wallets.remove(&account);
        }
    }
}
