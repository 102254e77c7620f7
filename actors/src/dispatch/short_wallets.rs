//! Wallets that were found short of funds, so that an account without money claims no phone, channel or call rate.
//!
//! The claim comes before the debit. Without this table an account with an empty wallet could hold the phones and the
//! call rate of others, for free, by requests that end as 402. A short wallet is tried again, by one request at a time,
//! every [`RETRY_INTERVAL`], and at once after a change of the wallet.

use std::time::{Duration, Instant};

use dashmap::DashMap;
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;

/// How often a request of an account with a short wallet reaches the wallet.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// More wallets than this are not remembered for longer than [`RETRY_INTERVAL`].
const MAX_WALLETS: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Short {
    total: Micros,
    retry_at: Instant,
}

/// The short wallets of this process.
#[derive(Debug, Default)]
pub struct ShortWallets(DashMap<AccountId, Short>);

impl ShortWallets {
    /// The total of a wallet that is known to be short of `cost`. `None`: the wallet has to be asked.
    pub(super) fn known(&self, account: AccountId, cost: Micros, now: Instant) -> Option<Micros> {
        let mut short = self.0.get_mut(&account)?;
        if cost <= short.total {
            return None;
        }
        if now >= short.retry_at {
            short.retry_at = now + RETRY_INTERVAL;
            return None;
        }
        Some(short.total)
    }

    /// Notes that the wallet holds only `total`.
    pub(super) fn note(&self, account: AccountId, total: Micros, now: Instant) {
        if self.0.len() >= MAX_WALLETS {
            self.0.retain(|_, short| now < short.retry_at);
        }
        self.0.insert(account, Short { total, retry_at: now + RETRY_INTERVAL });
    }

    /// Notes that the wallet paid, so that it was not short. Usually it is not known here, and nothing is locked for long.
    pub(super) fn note_paid(&self, account: AccountId) {
        if self.0.contains_key(&account) {
            self.forget(account);
        }
    }

    /// Forgets a wallet that has changed.
    pub fn forget(&self, account: AccountId) {
        self.0.remove(&account);
    }

    /// Forgets all wallets.
    pub fn forget_all(&self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const COST: Micros = Micros::new(22_000);

    #[test]
    fn one_request_at_a_time_asks_a_short_wallet() {
        let (wallets, account, now) =
            (ShortWallets::default(), AccountId(Uuid::now_v7()), Instant::now());
        assert_eq!(wallets.known(account, COST, now), None);
        wallets.note(account, Micros::new(10), now);
        assert_eq!(wallets.known(account, COST, now), Some(Micros::new(10)));
        // The one that asked was paid: the change of the wallet is not announced yet.
        let later = now + RETRY_INTERVAL;
        assert_eq!(wallets.known(account, COST, later), None);
        wallets.note_paid(account);
        assert_eq!(wallets.known(account, COST, later), None);
        wallets.note(account, Micros::new(10), now);
        assert_eq!(wallets.known(account, COST, now), Some(Micros::new(10)));
        assert_eq!(wallets.known(account, Micros::new(10), now), None, "enough for a cheaper one");
        let later = now + RETRY_INTERVAL;
        assert_eq!(wallets.known(account, COST, later), None);
        assert_eq!(wallets.known(account, COST, later), Some(Micros::new(10)));
    }

    #[test]
    fn a_changed_wallet_is_asked_at_once() {
        let (wallets, account, now) =
            (ShortWallets::default(), AccountId(Uuid::now_v7()), Instant::now());
        wallets.note(account, Micros::ZERO, now);
        wallets.forget(account);
        assert_eq!(wallets.known(account, COST, now), None);
        wallets.note(account, Micros::ZERO, now);
        wallets.forget_all();
        assert_eq!(wallets.known(account, COST, now), None);
    }
}
