//! Connects a webhook's span with the trace of its OTP. The outbox stores the parent span, because another process
//! may send the webhook.

use nexo_domain::trace_parent::TraceParent;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// `span` as a parent for other spans. `None` if its trace is not sampled.
pub(crate) fn parent_of(span: &Span) -> Option<TraceParent> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_sampled().then(|| TraceParent {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(context.span_id().to_bytes()),
    })
}

/// Makes `span` a child of `parent`, which another process may have recorded.
pub(crate) fn join(parent: TraceParent, span: &Span) {
    let context = SpanContext::new(
        TraceId::from_bytes(parent.trace_id.to_be_bytes()),
        SpanId::from_bytes(parent.span_id.to_be_bytes()),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    // This fails if traces are not recorded.
    let _ = span.set_parent(Context::new().with_remote_span_context(context));
}
