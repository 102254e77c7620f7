//! Notices what commands and other nodes change in the database, within a second.

use std::time::Duration;

use nexo_entities::store::Store;
use nexo_entities::store::changes::Change;

/// How often the feed is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Follows the feed after `seq` until the process ends; `tell` hears of each change once, in order.
pub async fn follow(store: Store, mut seq: i64, tell: impl Fn(&Change)) {
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        match store.changes_since(seq).await {
            Ok(page) => {
                page.changes.iter().for_each(&tell);
                seq = page.seq;
            }
            Err(error) => tracing::warn!(%error, "the change feed could not be read"),
        }
    }
}
