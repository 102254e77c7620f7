//! The metrics of webhooks, registered once.

use metrics::{Counter, Gauge, Histogram};

use crate::webhook::client::Sent;

#[derive(Clone)]
pub(super) struct Meters {
    delivered: Counter,
    failed: Counter,
    latency: Histogram,
    pub in_flight: Gauge,
    pub backlog: Gauge,
    pub oldest: Gauge,
}

impl Meters {
    pub fn new() -> Self {
        let attempts = |outcome: &'static str| metrics::counter!("nexo_webhook_attempts_total", "outcome" => outcome);
        Self {
            delivered: attempts("delivered"),
            failed: attempts("failed"),
            latency: metrics::histogram!("nexo_webhook_seconds"),
            in_flight: metrics::gauge!("nexo_webhooks_in_flight"),
            backlog: metrics::gauge!("nexo_webhook_backlog"),
            oldest: metrics::gauge!("nexo_webhook_oldest_seconds"),
        }
    }

    pub fn count(&self, sent: &Sent) {
        self.latency.record(sent.duration);
        match sent.is_delivered() {
            true => self.delivered.increment(1),
            false => self.failed.increment(1),
        }
    }
}
