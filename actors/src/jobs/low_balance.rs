//! Notifies accounts of a low balance: by webhook, and by a notifier that the binary provides.

use std::sync::Arc;
use std::time::Duration;

use nexo_entities::store::Store;
use nexo_entities::store::ledger::low_balance::NotifiedAccount;

use crate::clock;

/// How often the wallets with a threshold are checked.
const INTERVAL: Duration = Duration::from_secs(2);

/// Notifies a customer, for example by e-mail. Must not block: slow work belongs in a task of its own.
pub trait LowBalanceNotifier: Send + Sync {
    fn notify(&self, account: &NotifiedAccount);
}

/// Notifies accounts whose balance is low, until the process ends.
pub async fn notify_low_balances(store: Store, notifier: Arc<dyn LowBalanceNotifier>) {
    let notices = metrics::counter!("nexo_low_balance_notices_total");
    let mut due = clock::interval(INTERVAL);
    loop {
        due.tick().await;
        match store.ledger().notify_low_balances(clock::unix_ms()).await {
            Ok(accounts) => {
                notices.increment(accounts.len() as u64);
                accounts.iter().for_each(|account| notifier.notify(account));
            }
            Err(error) => tracing::warn!(%error, "low-balance notices could not be sent"),
        }
    }
}
