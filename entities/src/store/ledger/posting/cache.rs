//! The wallets and endpoints that a wallet actor keeps in memory.

use std::collections::HashMap;

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::ids::AccountId;

use super::batch::WriteMode;
use super::records::{Debit, Settlement};
use crate::store::webhooks::queue::ActiveEndpoint;

/// Above this number of accounts the cache is cleared, which bounds its memory to about 20 MB.
const MAX_ACCOUNTS: usize = 100_000;

/// Number of stepwise batches after a conflict with another writer.
const STEPWISE_BATCHES: u8 = 16;

/// A wallet as last committed or read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wallet {
    pub buckets: Buckets,
    pub version: i64,
    /// Whether the account is closed or suspended.
    pub is_closed: bool,
    /// Whether a referrer earns a commission on this account's deliveries. Never becomes true
    /// later.
    pub is_referred: bool,
}

impl Wallet {
    /// Returns the wallet as it is after its row was written.
    pub(super) fn after_write(self) -> Wallet {
        Wallet { version: self.version + 1, ..self }
    }
}

/// Wallets and endpoints as last committed or read. It has one owner. A stale entry costs a second
/// round, never a wrong balance.
#[derive(Debug, Default)]
pub struct WalletCache {
    wallets: HashMap<AccountId, Wallet>,
    endpoints: HashMap<AccountId, Vec<ActiveEndpoint>>,
    /// Number of following batches that must be written stepwise.
    stepwise_left: u8,
}

impl WalletCache {
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the account's buckets after the last commit or read, if known.
    pub fn buckets(&self, account: AccountId) -> Option<Buckets> {
        self.wallets.get(&account).map(|wallet| wallet.buckets)
    }

    /// Makes the next batch read this account's wallet again.
    pub fn invalidate_wallet(&mut self, account: AccountId) {
        self.wallets.remove(&account);
    }

    /// Makes the next batch read this account's active webhook endpoints again.
    pub fn invalidate_endpoints(&mut self, account: AccountId) {
        self.endpoints.remove(&account);
    }

    /// Chooses the write mode of the next batch.
    pub(super) fn write_mode(&mut self) -> WriteMode {
        match self.stepwise_left.checked_sub(1) {
            Some(left) => {
                self.stepwise_left = left;
                WriteMode::Stepwise
            }
            None => WriteMode::Optimistic,
        }
    }

    /// Records a conflict with another writer: more are likely to follow.
    pub(super) fn expect_conflicts(&mut self) {
        self.stepwise_left = STEPWISE_BATCHES;
    }

    pub(super) fn wallet(&self, account: AccountId) -> Option<Wallet> {
        self.wallets.get(&account).copied()
    }

    pub(super) fn endpoints(&self, account: AccountId) -> Option<&Vec<ActiveEndpoint>> {
        self.endpoints.get(&account)
    }

    pub(super) fn put(&mut self, account: AccountId, wallet: Wallet) {
        self.wallets.insert(account, wallet);
    }

    pub(super) fn insert_loaded(
        &mut self,
        wallets: HashMap<AccountId, Wallet>,
        endpoints: HashMap<AccountId, Vec<ActiveEndpoint>>,
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

    pub(super) fn invalidate_touched(&mut self, debits: &[Debit], settlements: &[Settlement]) {
        let accounts =
            debits.iter().map(|d| d.account_id).chain(settlements.iter().map(|s| s.account_id));
        for account in accounts {
            self.wallets.remove(&account);
        }
    }
}
