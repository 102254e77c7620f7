//! Deletes old records of test keys and test events, a few at a time.

use std::time::Duration;

use metrics::{Counter, Gauge};
use nexo_entities::store::{Store, StoreError};

use crate::clock;
use crate::test_hooks;

/// How often the job checks for records that have become old.
const INTERVAL: Duration = Duration::from_secs(600);
/// How many records are deleted in one transaction.
const BATCH: u32 = 200;
/// The pause between two transactions, in which calls have the database to themselves.
const PAUSE: Duration = Duration::from_millis(100);
const DAY_MS: i64 = 86_400_000;

struct Meters {
    deleted: Counter,
    last_run: Gauge,
}

/// Deletes ended OTPs and verifications of test keys, and test events to webhooks, that are older than `after_days` days, until the
/// process ends. At most 2,000 a second.
pub async fn delete_test_records(store: Store, after_days: u32) {
    let meters = Meters {
        deleted: metrics::counter!("nexo_deleted_test_records_total"),
        last_run: metrics::gauge!("nexo_retention_last_run_timestamp_seconds"),
    };
    let mut due = clock::interval(test_hooks::duration("NEXO_TEST_RETENTION_MS", INTERVAL));
    loop {
        due.tick().await;
        let before_ms = clock::unix_ms() - i64::from(after_days) * DAY_MS;
        match delete_all(&store, before_ms, &meters).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, after_days, "old test records deleted"),
            Err(error) => tracing::warn!(%error, "old test records could not be deleted"),
        }
    }
}

async fn delete_all(store: &Store, before_ms: i64, meters: &Meters) -> Result<u64, StoreError> {
    let mut count = 0;
    loop {
        let deliveries = store.deliveries();
        let batch = deliveries.delete_test_deliveries(before_ms, BATCH).await?
            + deliveries.delete_test_events(before_ms, BATCH).await?
            + store.verifications().delete_tests(before_ms, BATCH).await?;
        meters.deleted.increment(batch);
        count += batch;
        if batch == 0 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    meters.last_run.set(clock::unix_ms() as f64 / 1e3);
    Ok(count)
}
