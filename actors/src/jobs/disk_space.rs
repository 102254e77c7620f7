//! Finds out whether the disk under the database is full, so that readiness and an alert show it before, and as long
//! as, OTPs are refused.

use std::time::{Duration, Instant};

use nexo_entities::store::Store;

use crate::clock;

/// How often a full disk is probed for space.
const FULL_INTERVAL: Duration = Duration::from_secs(2);
/// How often a disk that is not known to be full is probed. A probe is one small commit.
const IDLE_INTERVAL: Duration = Duration::from_secs(10);

/// Probes the disk until the process ends or its store stops.
///
/// Only an SQLite file is probed while all is well: the disk of a PostgreSQL server is shared by all nodes, and a write
/// that fails there is noticed by the node whose write it was.
pub async fn watch_disk_space(store: Store) {
    let full = metrics::gauge!("nexo_database_disk_full");
    let mut due = clock::interval(FULL_INTERVAL);
    let mut probed: Option<Instant> = None;
    while store.stop_reason().is_none() {
        due.tick().await;
        let is_recent = probed.is_some_and(|at| at.elapsed() < IDLE_INTERVAL);
        let is_idle_probe_due = store.is_sqlite() && !is_recent;
        if store.is_disk_full() || is_idle_probe_due {
            // A full disk is marked and logged by the store. Other errors show in the database's own checks.
            let outcome = store.probe_disk().await;
            probed = Some(Instant::now());
            if let Err(error) = outcome {
                tracing::debug!(%error, "the disk could not be probed");
            }
        }
        full.set(f64::from(u8::from(store.is_disk_full())));
    }
}
