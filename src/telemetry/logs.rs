//! Logs on standard error, and traces if a collector is configured.

use std::io::IsTerminal;

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
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(wants_colours(std::io::stderr().is_terminal(), |name| std::env::var(name).ok()))
        .with_target(false);
    match config.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Pretty => lines.pretty().with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

/// Whether lines are coloured: on a terminal that knows colours, unless the environment decides otherwise
/// (`NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`; see no-color.org and bixense.com/clicolors). Files and the journal get
/// plain text.
fn wants_colours(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    let is_on = |name| is_set(name) && variable(name).as_deref() != Some("0");
    if is_set("NO_COLOR") {
        return false;
    }
    let is_off = variable("CLICOLOR").as_deref() == Some("0");
    let is_dumb = variable("TERM").as_deref() == Some("dumb");
    is_on("CLICOLOR_FORCE") || (is_terminal && !is_off && !is_dumb)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_the_environment_decides() {
        for (is_terminal, variables, expected) in [
            (true, &[][..], true),
            (false, &[], false),
            (true, &[("NO_COLOR", "1")], false),
            (true, &[("NO_COLOR", "")], true),
            (true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
            (true, &[("CLICOLOR", "0")], false),
            (true, &[("CLICOLOR", "1")], true),
            (true, &[("TERM", "dumb")], false),
            (false, &[("CLICOLOR", "1")], false),
            (false, &[("CLICOLOR_FORCE", "1")], true),
            (false, &[("CLICOLOR_FORCE", "0")], false),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(wants_colours(is_terminal, variable), expected, "{variables:?}");
        }
    }
}
