//! Computes the daily statistics and the filters of old deliveries, a little behind the calls.

use std::time::Duration;

use nexo_entities::store::{Store, StoreError};

use crate::clock;

/// How often the job checks for deliveries that have ended.
const INTERVAL: Duration = Duration::from_secs(15);
/// The pause between two transactions of a backlog, in which calls have the database to themselves.
const PAUSE: Duration = Duration::from_millis(100);

/// Updates the daily statistics, and the filters that find old deliveries, until the process ends.
pub async fn update_daily_stats(store: Store) {
    let mut due = clock::interval(INTERVAL);
    loop {
        due.tick().await;
        if let Err(error) = store.deliveries().rewind_to(clock::unix_ms()).await {
            tracing::warn!(%error, "the daily statistics could not be rewound");
        }
        let stats = drain_backlog(|| store.deliveries().update_daily_stats(clock::unix_ms())).await;
        if let Err(error) = stats {
            tracing::warn!(%error, "the daily statistics could not be updated");
        }
        let filters =
            drain_backlog(|| store.deliveries().build_next_filter(clock::unix_ms())).await;
        if let Err(error) = filters {
            tracing::warn!(%error, "the filters of old deliveries could not be written");
        }
    }
}

/// Repeats `step` while it returns that there is more to do.
async fn drain_backlog<F>(mut step: impl FnMut() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<bool, StoreError>>,
{
    while step().await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
