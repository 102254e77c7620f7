//! Tells accounts that their wallet runs low: by webhook, and by whatever letters the binary sends.

use std::sync::Arc;
use std::time::Duration;

use nexo_entities::store::Store;
use nexo_entities::store::ledger::low_balance::ToldAccount;

use crate::clock;

/// How often wallets are looked at that asked for it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Writes to a customer. Must not wait: who sends letters does so in a task of its own.
pub trait WriteLowBalance: Send + Sync {
    fn write(&self, account: &ToldAccount);
}

/// Tells of low balances until the process ends.
pub async fn tell(store: Store, letters: Arc<dyn WriteLowBalance>) {
    let told = metrics::counter!("nexo_low_balance_notices_total");
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        match store.tell_low_balances(clock::unix_ms()).await {
            Ok(accounts) => {
                told.increment(accounts.len() as u64);
                accounts.iter().for_each(|account| letters.write(account));
            }
            Err(error) => tracing::warn!(%error, "low balances could not be told"),
        }
    }
}
