//! Logs on standard error, and beside them traces where a collector is configured.

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::traces;
use crate::config::Config;
use crate::config::logging::{LogFormat, LogsConfig};

/// What is logged where `RUST_LOG` says nothing.
const DEFAULT_FILTER: &str = "info,actix_server=warn,sqlx=warn,sea_orm=warn";

/// Sends logs to standard error as text. `RUST_LOG` chooses what is logged; `info` by default.
pub fn log_to_stderr() {
    let format = LogFormat::Text;
    start(vec![logs(&LogsConfig { format })]);
}

/// What has to be told before the process ends.
pub struct Telling {
    traces: Option<SdkTracerProvider>,
}

/// Sends logs to standard error as configured, and traces to their collector.
///
/// # Errors
/// When the collector cannot be spoken to as it is configured.
pub fn tell(config: &Config) -> anyhow::Result<Telling> {
    let logs = logs(&config.logs);
    let Some(provider) = traces::provider(config)? else {
        start(vec![logs]);
        return Ok(Telling { traces: None });
    };
    start(vec![logs, traces::layer(&provider).boxed()]);
    Ok(Telling {
        traces: Some(provider),
    })
}

impl Telling {
    /// Sends what waits to be sent, for a few seconds at most.
    pub async fn finish(self) {
        let Some(provider) = self.traces else {
            return;
        };
        // It blocks until its thread is done.
        let done = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = done {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

fn logs(config: &LogsConfig) -> Box<dyn Layer<Registry> + Send + Sync> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    match config.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Pretty => lines.pretty().with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

fn start(layers: Vec<Box<dyn Layer<Registry> + Send + Sync>>) {
    // A test that starts the gateway twice in one process has a subscriber already.
    let _ = Registry::default().with(layers).try_init();
    // A panic in an actor is survived; it belongs in the log with everything else.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let what = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, what, "panic");
    }));
}
