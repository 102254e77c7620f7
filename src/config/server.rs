//! `[server]` and `[metrics]`: the HTTP addresses of the gateway.

use std::net::SocketAddr;

use ipnet::IpNet;
use nexo_domain::account::client_ip::{CLOUDFLARE_RANGES, TrustedSources, parse_entry};
use url::Url;

use super::read::error::ConfigError;
use super::read::section::Reader;

/// `server.public_url`, unless configured.
const DEFAULT_PUBLIC_URL: &str = "http://127.0.0.1:8080";

const ADDRESS: &str = "an IP address and port, such as 127.0.0.1:8080 or [::1]:8080";

/// `[server]`: the HTTP API.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address of the HTTP API. Behind a proxy, use loopback. Port 0 selects a free one.
    pub listen: SocketAddr,
    /// The URL at which customers reach the gateway, for links.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is trusted. A listed host can claim any client address and so pass any
    /// key's allowlist.
    pub trusted_proxies: Vec<IpNet>,
    /// The addresses from which Cloudflare connects. `CF-Connecting-IP` is trusted only in requests that come from
    /// them, directly or through a trusted proxy. Empty: the header is never used.
    pub cloudflare_ranges: Vec<IpNet>,
    /// The most HTTP connections. Fewer if the process may not open enough files.
    pub max_connections: u32,
    /// The most HTTP connections from one IPv4 address or IPv6 /56 network that is not a trusted proxy.
    pub max_connections_per_address: u32,
    /// Behind a load balancer: the minimum time during which a node that shuts down still responds, with 503 and a
    /// failing `/readyz`, even without active calls. Two check intervals are enough.
    pub drain_at_least_ms: u64,
    /// API requests of one account per second that cost nothing: reads, refusals, replays. The answers of further ones
    /// wait, for a second at most. 0: unlimited.
    pub free_requests_per_second: u32,
    /// How many lists and pages of one account read the database at the same time. Others wait in turn.
    pub reads_per_account: u32,
    /// How many CSV exports one account may have in progress.
    pub exports_per_account: u32,
    /// How many CSV exports all accounts together may have in progress.
    pub exports: u32,
    /// Whether Strict-Transport-Security covers the subdomains of the public host too.
    pub hsts_include_subdomains: bool,
}

/// `[metrics]`: the Prometheus endpoint.
#[derive(Debug, Clone)]
pub struct MetricsConfig {
    /// The address of `/metrics` and `/trunks`, without authentication: restrict it to Prometheus and operators.
    pub listen: SocketAddr,
}

impl ServerConfig {
    /// The host name in `public_url`, without the port.
    pub fn public_host(&self) -> String {
        let url = Url::parse(&self.public_url).ok();
        let host = url.as_ref().and_then(Url::host_str);
        host.unwrap_or_default().to_owned()
    }

    /// The URL of the site without a final slash: `public_url`, or the address that listens if it is not configured.
    pub fn site_url(&self, listening: SocketAddr) -> String {
        match self.public_url.as_str() {
            DEFAULT_PUBLIC_URL => format!("http://{listening}"),
            url => url.trim_end_matches('/').to_owned(),
        }
    }

    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("server")?;
        Ok(Self {
            listen: section.parsed("listen", "127.0.0.1:8080", ADDRESS, |t| t.parse().ok())?,
            public_url: section.parsed(
                "public_url",
                DEFAULT_PUBLIC_URL,
                "an http or https URL without query, such as https://otp.example.com",
                parse_public_url,
            )?,
            trusted_proxies: section.list(
                "trusted_proxies",
                &["127.0.0.0/8", "::1/128"],
                r#"a list of addresses and CIDR ranges, such as ["10.0.0.0/8"]"#,
                |t| parse_entry(t).ok(),
            )?,
            cloudflare_ranges: section.list(
                "cloudflare_ranges",
                &CLOUDFLARE_RANGES,
                r#"a list of addresses and CIDR ranges, such as ["173.245.48.0/20"]; [] never uses CF-Connecting-IP"#,
                |t| parse_entry(t).ok(),
            )?,
            max_connections: section.integer("max_connections", 10_000, 16..=1_000_000)?,
            max_connections_per_address: section.integer(
                "max_connections_per_address",
                500,
                1..=1_000_000,
            )?,
            drain_at_least_ms: section.integer("drain_at_least_ms", 0, 0..=60_000)?,
            free_requests_per_second: section.integer(
                "free_requests_per_second",
                1_000,
                0..=1_000_000,
            )?,
            reads_per_account: section.integer("reads_per_account", 2, 1..=63)?,
            exports_per_account: section.integer("exports_per_account", 2, 1..=100)?,
            exports: section.integer("exports", 16, 1..=1_000)?,
            hsts_include_subdomains: section.flag("hsts_include_subdomains", false)?,
        })
    }
}

impl ServerConfig {
    /// The senders whose statements about the client's address are believed.
    pub fn trusted_sources(&self) -> TrustedSources {
        TrustedSources {
            proxies: self.trusted_proxies.clone(),
            cloudflare: self.cloudflare_ranges.clone(),
        }
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
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain)
        .then(|| text.to_owned())
}
