//! Masks the phones of what is long over, a little at a time.

use std::time::Duration;

use metrics::{Counter, Gauge};
use nexo_domain::ids::DeliveryId;
use nexo_entities::store::{Store, StoreError};

use crate::clock;

/// How often it looks for what has become old.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How many deliveries lose their phone in one transaction.
const BATCH: u32 = 200;
/// How long the hot path has the database to itself between two of them.
const PAUSE: Duration = Duration::from_millis(100);
const DAY_MS: i64 = 86_400_000;

/// Masks what is older than so many days until the process ends; at most 2,000 deliveries a second.
pub async fn mask(store: Store, after_days: u32) {
    let meters = Meters {
        masked: metrics::counter!("nexo_masked_phones_total"),
        last_run: metrics::gauge!("nexo_masking_last_run_timestamp_seconds"),
    };
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut after = None;
    loop {
        due.tick().await;
        let before_ms = clock::unix_ms() - i64::from(after_days) * DAY_MS;
        match mask_all(&store, &mut after, before_ms, &meters).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, after_days, "phones of old deliveries masked"),
            Err(error) => tracing::warn!(%error, "phones of old deliveries could not be masked"),
        }
    }
}

struct Meters {
    masked: Counter,
    last_run: Gauge,
}

/// Goes on after the place `after`, which it moves, to the end of what is old enough.
async fn mask_all(
    store: &Store,
    after: &mut Option<DeliveryId>,
    before_ms: i64,
    meters: &Meters,
) -> Result<u64, StoreError> {
    let mut count = 0;
    loop {
        let batch = store.mask_phones(*after, before_ms, BATCH).await?;
        meters.masked.increment(batch.deliveries);
        count += batch.deliveries;
        match batch.next {
            Some(place) => *after = Some(place),
            None => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    meters.last_run.set(clock::unix_ms() as f64 / 1e3);
    Ok(count)
}
