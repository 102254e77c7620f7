//! Which trace a delivery belongs to, so that its webhooks, which are sent from an outbox and by nobody in
//! particular, are part of it.
//!
//! Held in memory only, for deliveries that are traced: a webhook that another process sends, or this one after a
//! restart, begins a trace of its own. Both name the delivery.

use std::time::{Duration, Instant};

use dashmap::DashMap;
use nexo_domain::ids::DeliveryId;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// How long the webhooks of a delivery may take to be sent.
const KEPT: Duration = Duration::from_secs(120);
/// Past so many, new ones are not kept.
const MOST: usize = 100_000;

/// The traces of deliveries whose webhooks are yet to be sent.
#[derive(Debug, Default)]
pub struct Traces(DashMap<DeliveryId, (Instant, Context)>);

impl Traces {
    /// Keeps the trace that `span` is part of, where it is part of one that is recorded.
    pub fn keep(&self, delivery_id: DeliveryId, span: &Span) {
        let context = span.context();
        let is_recorded = context.span().span_context().is_sampled();
        if is_recorded && self.0.len() < MOST {
            self.0.insert(delivery_id, (Instant::now(), context));
        }
    }

    /// Makes `span` part of the delivery's trace, where that is known.
    pub fn join(&self, delivery_id: DeliveryId, span: &Span) {
        if let Some(kept) = self.0.get(&delivery_id) {
            // It fails where nobody records traces any more.
            let _ = span.set_parent(kept.1.clone());
        }
    }

    /// Forgets the old ones.
    pub fn tidy(&self) {
        if !self.0.is_empty() {
            self.0.retain(|_, (since, _)| since.elapsed() < KEPT);
        }
    }
}
