//! Traces to an OpenTelemetry collector over OTLP/HTTP.
//!
//! One OTP is one trace: the request, the OTP's saga in it, its debit, its calls from INVITE to BYE, its
//! settlement, and its webhooks.

use std::time::Duration;

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, filter::LevelFilter};

use crate::config::Config;

const SERVICE: &str = "nexo-route";
/// The path of traces below the collector's address.
const TRACES_PATH: &str = "v1/traces";
/// How long one export may take. Spans that cannot be sent are dropped.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the exporter of traces can be built, if a collector is configured.
///
/// # Errors
/// If not.
pub fn check(config: &Config) -> anyhow::Result<()> {
    exporter(config).map(drop)
}

/// The exporter of traces; `None` without a configured collector.
///
/// # Errors
/// If its HTTP client cannot be built.
pub fn provider(config: &Config) -> anyhow::Result<Option<SdkTracerProvider>> {
    let Some(exporter) = exporter(config)? else {
        return Ok(None);
    };
    let resource = Resource::builder()
        .with_service_name(SERVICE)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", config.cluster.node_name().to_owned()))
        .build();
    let sampler = Sampler::TraceIdRatioBased(config.traces.sample_ratio);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_resource(resource)
        .build();
    Ok(Some(provider))
}

fn exporter(config: &Config) -> anyhow::Result<Option<SpanExporter>> {
    let Some(endpoint) = &config.traces.otlp_endpoint else {
        return Ok(None);
    };
    // Fails if another part of the process has installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/{TRACES_PATH}", endpoint.trim_end_matches('/')))
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .context("building the trace exporter failed: check traces.otlp_endpoint")?;
    Ok(Some(exporter))
}

/// Passes the spans of our crates to `provider`.
pub fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let ours = Targets::new()
        .with_target("nexo_route", LevelFilter::DEBUG)
        .with_target("nexo_actors", LevelFilter::DEBUG);
    tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE)).with_filter(ours)
}
