//! Masks the phones of old deliveries and verifications, a few at a time.

use std::time::Duration;

use metrics::{Counter, Gauge};
use nexo_domain::ids::{DeliveryId, VerificationId};
use nexo_entities::store::{Store, StoreError};

use crate::clock;

/// How often the job checks for deliveries that have become old.
const INTERVAL: Duration = Duration::from_secs(600);
/// How many deliveries or verifications are masked in one transaction.
const BATCH: u32 = 200;
/// The pause between two transactions, in which calls have the database to themselves.
const PAUSE: Duration = Duration::from_millis(100);
const DAY_MS: i64 = 86_400_000;

/// Masks deliveries and verifications older than `after_days` days until the process ends, at most 2,000 a second.
pub async fn mask_phones(store: Store, after_days: u32) {
    let meters = Meters {
        masked: metrics::counter!("nexo_masked_phones_total"),
        last_run: metrics::gauge!("nexo_masking_last_run_timestamp_seconds"),
    };
    let mut due = clock::interval(INTERVAL);
    let mut after = After::default();
    loop {
        due.tick().await;
        let before_ms = clock::unix_ms() - i64::from(after_days) * DAY_MS;
        match mask_all(&store, &mut after, before_ms, &meters).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, after_days, "phones of old records masked"),
            Err(error) => tracing::warn!(%error, "phones of old records could not be masked"),
        }
    }
}

struct Meters {
    masked: Counter,
    last_run: Gauge,
}

/// Where the next batches start.
#[derive(Default)]
struct After {
    delivery: Option<DeliveryId>,
    verification: Option<VerificationId>,
}

/// Masks every delivery and verification after `after` that is older than `before_ms`, and moves `after` past them.
async fn mask_all(
    store: &Store,
    after: &mut After,
    before_ms: i64,
    meters: &Meters,
) -> Result<u64, StoreError> {
    let mut count = 0;
    loop {
        let batch = store.deliveries().mask_phones(after.delivery, before_ms, BATCH).await?;
        meters.masked.increment(batch.deliveries);
        count += batch.deliveries;
        match batch.next {
            Some(last) => after.delivery = Some(last),
            None => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    loop {
        let batch = store.verifications().mask_phones(after.verification, before_ms, BATCH).await?;
        meters.masked.increment(batch.verifications);
        count += batch.verifications;
        match batch.next {
            Some(last) => after.verification = Some(last),
            None => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    meters.last_run.set(clock::unix_ms() as f64 / 1e3);
    Ok(count)
}
