//! `[server]` and `[metrics]`: where the gateway is reached.

use std::net::SocketAddr;

use ipnet::IpNet;
use nexo_domain::account::client_ip::parse_entry;
use url::Url;

use super::read::error::ConfigError;
use super::read::section::Reader;

const ADDRESS: &str = "an IP address and port, such as 127.0.0.1:8080 or [::1]:8080";

/// `[server]`: the HTTP API.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where the HTTP API listens. Behind a proxy keep it on loopback; port 0 takes any free one.
    pub listen: SocketAddr,
    /// How customers reach this gateway, for the links that it gives them.
    pub public_url: String,
    /// Proxies whose word on the client's address counts. Whoever is listed here can claim any
    /// address, and so pass any key's allowlist.
    pub trusted_proxies: Vec<IpNet>,
    /// Behind a load balancer: how long a node that shuts down goes on answering, with 503 and a failing
    /// `/readyz`, even where no call is up. Two of its check's intervals will do.
    pub drain_at_least_ms: u64,
}

/// `[metrics]`: Prometheus' page.
#[derive(Debug, Clone)]
pub struct MetricsConfig {
    /// Where `/metrics` is served, unauthenticated: keep it where only Prometheus gets.
    pub listen: SocketAddr,
}

impl ServerConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("server")?;
        Ok(Self {
            listen: section.parsed("listen", "127.0.0.1:8080", ADDRESS, |t| t.parse().ok())?,
            public_url: section.parsed(
                "public_url",
                "http://127.0.0.1:8080",
                "an http or https URL without query, such as https://otp.example.com",
                parse_public_url,
            )?,
            trusted_proxies: section.list(
                "trusted_proxies",
                &["127.0.0.0/8", "::1/128"],
                r#"a list of addresses and CIDR ranges, such as ["10.0.0.0/8"]"#,
                |t| parse_entry(t).ok(),
            )?,
            drain_at_least_ms: section.whole("drain_at_least_ms", 0, 0..=60_000)?,
        })
    }
}

impl MetricsConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("metrics")?;
        Ok(Self {
            listen: section.parsed("listen", "127.0.0.1:9464", ADDRESS, |t| t.parse().ok())?,
        })
    }
}

fn parse_public_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then(|| text.to_owned())
}
