//! `[logs]` and `[traces]`: the log format, and the export of traces.

use url::Url;

use super::read::error::ConfigError;
use super::read::section::Reader;

/// The log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line per event, for people and `journalctl`.
    Text,
    /// Several lines per event, for development.
    Pretty,
    /// One JSON object per line, for log collectors.
    Json,
}

/// `[logs]`.
#[derive(Debug, Clone)]
pub struct LogsConfig {
    pub format: LogFormat,
}

/// `[traces]`.
#[derive(Debug, Clone)]
pub struct TracesConfig {
    /// The OpenTelemetry collector (OTLP over HTTP). None: no traces.
    pub otlp_endpoint: Option<String>,
    /// The share of OTPs that are traced.
    pub sample_ratio: f64,
}

impl LogsConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("logs")?;
        Ok(Self {
            format: section.choice(
                "format",
                "text",
                &[
                    ("text", LogFormat::Text),
                    ("pretty", LogFormat::Pretty),
                    ("json", LogFormat::Json),
                ],
            )?,
        })
    }
}

impl TracesConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("traces")?;
        Ok(Self {
            otlp_endpoint: section.parsed(
                "otlp_endpoint",
                "",
                "empty, or the http or https URL of a collector, such as http://127.0.0.1:4318",
                parse_endpoint,
            )?,
            sample_ratio: section.parsed(
                "sample_ratio",
                "1",
                r#"a quoted share from "0" to "1", such as "0.05""#,
                |text| {
                    let ratio: f64 = text.parse().ok()?;
                    (0.0..=1.0).contains(&ratio).then_some(ratio)
                },
            )?,
        })
    }
}

fn parse_endpoint(text: &str) -> Option<Option<String>> {
    if text.is_empty() {
        return Some(None);
    }
    let url = Url::parse(text).ok()?;
    let is_valid =
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    is_valid.then(|| Some(text.to_owned()))
}
