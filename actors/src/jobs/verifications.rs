//! Marks expired verifications, a few at a time.
//!
//! A verification is over from its end on, whether it is marked or not.

use std::time::Duration;

use nexo_entities::store::{Store, StoreError};

use crate::clock;

/// How often the job looks for verifications that have expired.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many verifications are marked in one transaction.
const BATCH: u32 = 200;
/// The pause between two transactions, in which calls have the database to themselves.
const PAUSE: Duration = Duration::from_millis(50);

/// Marks verifications as they expire, until the process ends.
pub async fn mark_expired_verifications(store: Store) {
    let expired = metrics::counter!("nexo_verifications_total", "outcome" => "expired");
    let mut due = clock::interval(INTERVAL);
    let mut has_failed = false;
    loop {
        due.tick().await;
        match mark_all(&store).await {
            Ok(count) => {
                expired.increment(count);
                has_failed = false;
            }
            // Once for an outage, not every second.
            Err(_) if has_failed => {}
            Err(error) => {
                has_failed = true;
                tracing::warn!(%error, "expired verifications could not be marked");
            }
        }
    }
}

async fn mark_all(store: &Store) -> Result<u64, StoreError> {
    let mut count = 0;
    loop {
        let marked = store.verifications().mark_expired(clock::unix_ms(), BATCH).await?;
        count += marked.len() as u64;
        if marked.len() < BATCH as usize {
            return Ok(count);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
