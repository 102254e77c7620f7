//! Checks the traffic of each API key, window after window, and opens reviews of suspicious keys. It never delays
//! an OTP: it reads finished records on a read connection, and holds one row per key in memory.

use std::time::Duration;

use metrics::{Counter, Gauge};
use nexo_domain::account::traffic::{Limits, Suspicion};
use nexo_entities::store::operations::reviews::Findings;
use nexo_entities::store::{Store, StoreError};

use crate::clock;

/// How traffic is checked.
#[derive(Debug, Clone, Copy)]
pub struct ReviewSettings {
    /// The length of a window. More than zero.
    pub window: Duration,
    /// How long after its end a window is checked.
    pub settle: Duration,
    pub limits: Limits,
}

struct Meters {
    opened: Vec<(Suspicion, Counter)>,
    open: Gauge,
}

impl Meters {
    fn new() -> Meters {
        let opened = |suspicion: Suspicion| {
            let name = suspicion.as_str();
            metrics::counter!("nexo_reviews_opened_total", "suspicion" => name)
        };
        Meters {
            opened: Suspicion::ALL.map(|s| (s, opened(s))).to_vec(),
            open: metrics::gauge!("nexo_reviews_open"),
        }
    }

    fn count(&self, opened: &[Suspicion]) {
        for (suspicion, counter) in &self.opened {
            let count = opened.iter().filter(|one| *one == suspicion).count();
            counter.increment(count as u64);
        }
    }
}

/// Checks each window once it has settled, until the process ends. Of several nodes, one checks a window.
pub async fn review_traffic(store: Store, settings: ReviewSettings) {
    let meters = Meters::new();
    let window_ms = i64::try_from(settings.window.as_millis()).unwrap_or(i64::MAX);
    let settle_ms = i64::try_from(settings.settle.as_millis()).unwrap_or(0);
    let latest = || (clock::unix_ms() - settle_ms).div_euclid(window_ms) * window_ms;
    let mut next_end = latest();
    loop {
        let wait_ms = next_end + settle_ms - clock::unix_ms();
        let wait_ms = wait_ms.clamp(0, window_ms);
        tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
        let latest = latest();
        if latest < next_end {
            // If the clock was set back, windows that were checked before follow. No window is checked twice.
            next_end = next_end.min(latest + window_ms);
            continue;
        }
        // A machine that was suspended has missed windows. Only the last one is worth a check.
        next_end = latest;
        match check_window(&store, &settings.limits, (next_end - window_ms, next_end)).await {
            Ok(opened) => meters.count(&opened),
            Err(error) => {
                tracing::warn!(%error, "the traffic of the API keys could not be checked")
            }
        }
        if let Ok(open) = store.operations().open_review_count().await {
            meters.open.set(open as f64);
        }
        next_end += window_ms;
    }
}

/// Checks one window, unless another node does.
async fn check_window(
    store: &Store,
    limits: &Limits,
    (start_ms, end_ms): (i64, i64),
) -> Result<Vec<Suspicion>, StoreError> {
    if !store.operations().claim_review_window(start_ms).await? {
        return Ok(Vec::new());
    }
    let window_ms = end_ms - start_ms;
    let mut findings = Findings::default();
    for key in store.operations().key_traffic(start_ms, end_ms).await? {
        let silent_ms = key.seen_at_ms.map_or(0, |seen| start_ms - seen);
        let traffic = key.traffic.after_silence(silent_ms / window_ms);
        findings.usual_milli.push((key.key_id, traffic.usual_after_milli()));
        for (suspicion, detail) in traffic.suspicions(limits) {
            tracing::warn!(
                key = %key.key_id,
                account = %key.account_id,
                %suspicion,
                detail,
                "the traffic of an API key is suspicious; it is not blocked, an operator must review it"
            );
            let found = (key.key_id, key.account_id, suspicion, detail);
            findings.suspicions.push(found);
        }
    }
    if findings.usual_milli.is_empty() {
        return Ok(Vec::new());
    }
    store.operations().record_findings(&findings, end_ms).await
}
