//! Logs on standard error, and traces if a collector is configured.

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::line_limit::LineLimit;
use super::traces;
use crate::config::Config;
use crate::config::logging::{LogFormat, LogsConfig};

/// The filter without `RUST_LOG`.
const DEFAULT_FILTER: &str = "info,actix_server=warn,sqlx=warn,sea_orm=warn";

/// Logs to standard error as text, filtered by `RUST_LOG` (default `info`).
pub fn log_to_stderr() {
    let format = LogFormat::Text;
    install(vec![logs(&LogsConfig { format })]);
}

/// Flushes traces at the end of the process.
pub struct TelemetryGuard {
    traces: Option<SdkTracerProvider>,
}

/// Logs to standard error and sends traces to the collector, as configured.
///
/// # Errors
/// If the client of the collector cannot be built.
pub fn start(config: &Config) -> anyhow::Result<TelemetryGuard> {
    let logs = logs(&config.logs);
    let Some(provider) = traces::provider(config)? else {
        install(vec![logs]);
        return Ok(TelemetryGuard { traces: None });
    };
    install(vec![logs, traces::layer(&provider).boxed()]);
    Ok(TelemetryGuard { traces: Some(provider) })
}

impl TelemetryGuard {
    /// Sends the remaining traces, for a few seconds at most.
    pub async fn finish(self) {
        let Some(provider) = self.traces else {
            return;
        };
        // Blocks until the exporter thread ends.
        let done = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = done {
            tracing::warn!(%error, "sending the last traces failed");
        }
    }
}

fn logs(config: &LogsConfig) -> Box<dyn Layer<Registry> + Send + Sync> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let filter = filter.and(LineLimit::new(shows_connections()));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    match config.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Pretty => lines.pretty().with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

/// Whether `RUST_LOG` asks for debug lines of the HTTP connections. At other levels they are hidden, also errors: a
/// client causes them, at any rate.
fn shows_connections() -> bool {
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let targets: Result<Targets, _> = directives.parse();
    targets.is_ok_and(|targets| targets.would_enable("actix_http::h1::dispatcher", &Level::DEBUG))
}

fn install(layers: Vec<Box<dyn Layer<Registry> + Send + Sync>>) {
    // Fails in a test that starts two gateways in one process; the first subscriber stays.
    let _ = Registry::default().with(layers).try_init();
    // The process survives panics in actors, so they go to the log.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let what = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, what, "panic");
    }));
}
