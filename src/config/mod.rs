//! The configuration: defaults, overridden by a file, overridden by the environment.
//!
//! Each section has a module. Each key is named once, where it is read, with its default and allowed values; the
//! errors, the suggestions and `config print` follow from that.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

pub mod accounts;
pub mod billing;
pub mod database;
pub mod deposits;
pub mod logging;
pub mod outbound;
pub mod read;
pub mod server;
pub mod telephony;
pub mod verify;
mod warnings;

#[cfg(test)]
mod tests;

use accounts::privacy::PrivacyConfig;
use accounts::quotas::QuotasConfig;
use accounts::reviews::ReviewsConfig;
use accounts::sign_in::SignInConfig;
use billing::BillingConfig;
use database::{ClusterConfig, DatabaseConfig};
use deposits::DepositsConfig;
use logging::{LogsConfig, TracesConfig};
use nexo_domain::phone::carrier_plan::Carrier;
use outbound::dns::DnsConfig;
use outbound::mail::MailConfig;
use outbound::webhooks::WebhooksConfig;
use read::effective::EffectiveConfig;
pub use read::error::ConfigError;
use read::raw::RawSettings;
use read::section::Reader;
use server::{MetricsConfig, ServerConfig};
use telephony::calls::CallsConfig;
use telephony::carriers::CarrierConfig;
use telephony::sandbox::SandboxSettings;
use telephony::sip::SipConfig;
use verify::VerifyConfig;

/// The file that is read if none is named and it exists.
pub const DEFAULT_FILE: &str = "nexo.toml";

/// All settings, validated.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: ServerConfig,
    pub metrics: MetricsConfig,
    pub database: DatabaseConfig,
    pub cluster: ClusterConfig,
    pub billing: BillingConfig,
    pub deposits: DepositsConfig,
    pub reviews: ReviewsConfig,
    pub calls: CallsConfig,
    pub sip: SipConfig,
    pub dns: DnsConfig,
    pub webhooks: WebhooksConfig,
    pub mail: MailConfig,
    pub sign_in: SignInConfig,
    pub privacy: PrivacyConfig,
    pub quotas: QuotasConfig,
    pub verify: VerifyConfig,
    pub logs: LogsConfig,
    pub traces: TracesConfig,
    pub sandbox: SandboxSettings,
    pub carriers: Vec<CarrierConfig>,
}

/// A configuration with the source of each setting.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub effective: EffectiveConfig,
}

/// Whether two sockets cannot listen on both addresses.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (is_any || one.ip() == other.ip())
}

impl Config {
    /// Reads `file`, or `nexo.toml` if no file is named and it exists, and then the `variables` that start with
    /// `NEXO_`.
    ///
    /// # Errors
    /// The first error, in one line: its source, the key and the allowed values.
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if file.is_none() && error.kind() == ErrorKind::NotFound => None,
            Err(source) => {
                return Err(ConfigError::Unreadable { path: path.to_owned(), source });
            }
        };
        let name = path.display().to_string();
        Self::from_texts(text.as_deref().map(|text| (name.as_str(), text)), variables)
    }

    /// Whether any gateway uses, or may use, TCP or TLS.
    pub fn uses_tcp_or_tls(&self) -> bool {
        let gateways = self.carriers.iter().flat_map(|carrier| &carrier.gateways);
        gateways.map(|gateway| &gateway.uri).any(|uri| match uri.transport {
            Some(transport) => transport.is_reliable(),
            // NAPTR and SRV records select the transport.
            None => uri.ip().is_none() && uri.port.is_none(),
        })
    }

    /// Reads a configuration from a file's name and text, and variables.
    pub fn from_texts(
        file: Option<(&str, &str)>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        let mut raw = RawSettings::default();
        if let Some((name, text)) = file {
            raw.add_file(name, text)?;
        }
        raw.add_variables(variables)?;
        let mut reader = Reader::new(raw);
        let config = Config {
            server: ServerConfig::read(&mut reader)?,
            metrics: MetricsConfig::read(&mut reader)?,
            database: DatabaseConfig::read(&mut reader)?,
            cluster: ClusterConfig::read(&mut reader)?,
            billing: BillingConfig::read(&mut reader)?,
            deposits: DepositsConfig::read(&mut reader)?,
            reviews: ReviewsConfig::read(&mut reader)?,
            calls: CallsConfig::read(&mut reader)?,
            sip: SipConfig::read(&mut reader)?,
            dns: DnsConfig::read(&mut reader)?,
            webhooks: WebhooksConfig::read(&mut reader)?,
            mail: MailConfig::read(&mut reader)?,
            sign_in: SignInConfig::read(&mut reader)?,
            privacy: PrivacyConfig::read(&mut reader)?,
            quotas: QuotasConfig::read(&mut reader)?,
            verify: VerifyConfig::read(&mut reader)?,
            logs: LogsConfig::read(&mut reader)?,
            traces: TracesConfig::read(&mut reader)?,
            sandbox: SandboxSettings::read(&mut reader)?,
            carriers: telephony::carriers::read(&mut reader)?,
        };
        if config.server.reads_per_account >= config.database.list_connections {
            return Err(reader.invalid(
                "server.reads_per_account",
                "less than database.list_connections, so that other accounts can read meanwhile",
            ));
        }
        if let Some((key, expected)) = config.port_conflict() {
            return Err(reader.invalid(key, expected));
        }
        let settings = reader.finish()?;
        Ok(Loaded { config, effective: EffectiveConfig::new(settings) })
    }
}

impl Config {
    /// The key of a port that another key already takes, and what is expected instead.
    fn port_conflict(&self) -> Option<(&'static str, String)> {
        let (http, metrics, sip) = (self.server.listen, self.metrics.listen, self.sip.listen_udp);
        if overlap(http, metrics) {
            return Some(("metrics.listen", "another port than server.listen".to_owned()));
        }
        if self.uses_tcp_or_tls() && (overlap(http, sip) || overlap(metrics, sip)) {
            return Some((
                "sip.listen_udp",
                "another port than server.listen and metrics.listen, because SIP uses TCP on it too"
                    .to_owned(),
            ));
        }
        let rtp = self.sip.rtp_ports;
        let takes_sip_port = sip.port() != 0 && (rtp.first..=rtp.last).contains(&sip.port());
        takes_sip_port.then(|| {
            let expected = format!("a range without the port {} of sip.listen_udp", sip.port());
            ("sip.rtp_ports", expected)
        })
    }

    /// Whether any carrier has a gateway. If none has, the sandbox takes the calls of live keys.
    pub fn has_gateways(&self) -> bool {
        self.carriers.iter().any(|carrier| !carrier.gateways.is_empty())
    }

    /// The carriers whose numbers live keys cannot call, in the order of the numbering plan.
    pub fn carriers_without_route(&self) -> Vec<Carrier> {
        if self.sandbox.enabled && !self.has_gateways() {
            return Vec::new();
        }
        let configured = self.carriers.iter().filter(|carrier| !carrier.gateways.is_empty());
        let is_routed = |carrier: &Carrier| configured.clone().any(|c| c.name == carrier.name());
        Carrier::all().filter(|carrier| !is_routed(carrier)).collect()
    }
}
