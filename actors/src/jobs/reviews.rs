//! Looks at what each key has sent, window after window, and opens reviews. Never in an OTP's way: it reads what
//! is written, on a reading connection, and holds a line a key.

use std::time::Duration;

use metrics::{Counter, Gauge};
use nexo_domain::account::burst::{Limits, Suspicion};
use nexo_entities::store::operations::reviews::Findings;
use nexo_entities::store::{Store, StoreError};

use crate::clock;

/// How traffic is looked at.
#[derive(Debug, Clone, Copy)]
pub struct ReviewSettings {
    /// How long a window is; more than zero.
    pub window: Duration,
    /// How long after its end it is looked at.
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

/// Looks at each window once it has settled, until the process ends. Of several nodes one does.
pub async fn watch(store: Store, settings: ReviewSettings) {
    let meters = Meters::new();
    let window_ms = i64::try_from(settings.window.as_millis()).unwrap_or(i64::MAX);
    let settle_ms = i64::try_from(settings.settle.as_millis()).unwrap_or(0);
    let latest = || (clock::unix_ms() - settle_ms).div_euclid(window_ms) * window_ms;
    let mut next_end = latest();
    loop {
        let wait_ms = next_end + settle_ms - clock::unix_ms();
        tokio::time::sleep(Duration::from_millis(wait_ms.max(0).unsigned_abs())).await;
        // A machine that slept has missed windows: only the last one is worth a look.
        next_end = next_end.max(latest());
        match look(&store, &settings.limits, (next_end - window_ms, next_end)).await {
            Ok(opened) => meters.count(&opened),
            Err(error) => tracing::warn!(%error, "the keys' traffic could not be looked at"),
        }
        if let Ok(open) = store.open_review_count().await {
            meters.open.set(open as f64);
        }
        next_end += window_ms;
    }
}

/// Looks at one window, unless another node does.
async fn look(
    store: &Store,
    limits: &Limits,
    (start_ms, end_ms): (i64, i64),
) -> Result<Vec<Suspicion>, StoreError> {
    if !store.claim_review_window(start_ms).await? {
        return Ok(Vec::new());
    }
    let window_ms = end_ms - start_ms;
    let mut findings = Findings::default();
    for key in store.key_traffic(start_ms, end_ms).await? {
        let silent_ms = key.seen_at_ms.map_or(0, |seen| start_ms - seen);
        let traffic = key.traffic.after_silence(silent_ms / window_ms);
        findings
            .usual_milli
            .push((key.key_id, traffic.usual_after_milli()));
        for (suspicion, detail) in traffic.suspicions(limits) {
            tracing::warn!(
                key = %key.key_id,
                account = %key.account_id,
                %suspicion,
                detail,
                "a key's traffic is suspicious: nothing is stopped, an operator is to look"
            );
            let found = (key.key_id, key.account_id, suspicion, detail);
            findings.suspicions.push(found);
        }
    }
    if findings.usual_milli.is_empty() {
        return Ok(Vec::new());
    }
    store.keep_findings(&findings, end_ms).await
}
