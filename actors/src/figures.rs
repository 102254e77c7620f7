//! Adds up what the days came to, a little behind the calls.

use std::time::Duration;

use nexo_entities::store::Store;

use crate::clock;

/// How often it looks for what has ended.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long the hot path has the database to itself between two stretches of a backlog.
const PAUSE: Duration = Duration::from_millis(100);

/// Adds up until the process ends.
pub async fn add_up(store: Store) {
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        loop {
            match store.add_up_figures(clock::unix_ms()).await {
                Ok(true) => tokio::time::sleep(PAUSE).await,
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "the days' figures could not be added up");
                    break;
                }
            }
        }
    }
}
