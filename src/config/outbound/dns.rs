//! `[dns]`: the DNS servers for webhook receivers and the mail server.

use std::net::SocketAddr;

use crate::config::read::error::ConfigError;
use crate::config::read::section::Reader;

/// `[dns]`.
#[derive(Debug, Clone)]
pub struct DnsConfig {
    /// The DNS servers. Empty: those of the system. Gateways use `sip.dns_servers`.
    pub servers: Vec<SocketAddr>,
}

impl DnsConfig {
    pub(in crate::config) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("dns")?;
        Ok(Self {
            servers: section.list(
                "servers",
                &[],
                r#"a list of IP addresses and ports, such as ["10.0.0.53:53"]"#,
                |text| text.parse().ok(),
            )?,
        })
    }
}
