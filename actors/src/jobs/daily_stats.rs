//! Adds up what the days came to, a little behind the calls.

use std::time::Duration;

use nexo_entities::store::{Store, StoreError};

use crate::clock;

/// How often it looks for what has ended.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long the hot path has the database to itself between two stretches of a backlog.
const PAUSE: Duration = Duration::from_millis(100);

/// Adds up, and makes the filters by which old deliveries are found, until the process ends.
pub async fn add_up(store: Store) {
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let added_up = work_off(|| store.add_up_figures(clock::unix_ms())).await;
        if let Err(error) = added_up {
            tracing::warn!(%error, "the days' figures could not be added up");
        }
        let filtered = work_off(|| store.add_delivery_filter(clock::unix_ms())).await;
        if let Err(error) = filtered {
            tracing::warn!(%error, "old deliveries could not be given their filters");
        }
    }
}

/// One stretch after another, while there are more.
async fn work_off<F>(mut stretch: impl FnMut() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<bool, StoreError>>,
{
    while stretch().await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
