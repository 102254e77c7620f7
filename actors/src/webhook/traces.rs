//! A webhook is sent from an outbox, by this process or another: the outbox says which trace it is part of.

use nexo_domain::trace_parent::TraceParent;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// What is to be put under `span`; `None` where its trace is not recorded.
pub(crate) fn parent_of(span: &Span) -> Option<TraceParent> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_sampled().then(|| TraceParent {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(context.span_id().to_bytes()),
    })
}

/// Puts `span` under what may have been left by another process.
pub(crate) fn join(parent: TraceParent, span: &Span) {
    let context = SpanContext::new(
        TraceId::from_bytes(parent.trace_id.to_be_bytes()),
        SpanId::from_bytes(parent.span_id.to_be_bytes()),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    // It fails where nobody records traces.
    let _ = span.set_parent(Context::new().with_remote_span_context(context));
}
