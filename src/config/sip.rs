//! `[sip]`: our own side of SIP and RTP.

use std::net::{IpAddr, SocketAddr};

use nexo_voice::rtp::send::ports::PortRange;

use super::read::error::ConfigError;
use super::read::section::Reader;

/// `[sip]`.
#[derive(Debug, Clone)]
pub struct SipConfig {
    /// Where SIP over UDP is sent from and taken. Carriers know us by this address and port.
    pub listen_udp: SocketAddr,
    /// The ports for audio, which a firewall must let through. `0`: any that are free.
    pub rtp_ports: PortRange,
    /// The address that carriers see us at, for Contact and SDP behind NAT. None: this machine's own.
    pub public_ip: Option<IpAddr>,
    /// Who is asked where gateways with host names are. None: this machine's own DNS servers.
    pub dns_servers: Vec<SocketAddr>,
}

impl SipConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("sip")?;
        Ok(Self {
            listen_udp: section.parsed(
                "listen_udp",
                "0.0.0.0:5062",
                "an IP address and port, such as 0.0.0.0:5062",
                |text| text.parse().ok(),
            )?,
            rtp_ports: section.parsed(
                "rtp_ports",
                "20000-20063",
                "two ports from 1024 to 65535, such as 20000-20063, or 0 for any that are free",
                parse_ports,
            )?,
            public_ip: section.parsed(
                "public_ip",
                "",
                "empty, or the IP address at which carriers see this machine",
                parse_public_ip,
            )?,
            dns_servers: section.list(
                "dns_servers",
                &[],
                r#"a list of IP addresses and ports, such as ["10.0.0.53:53"]"#,
                |text| text.parse().ok(),
            )?,
        })
    }
}

fn parse_public_ip(text: &str) -> Option<Option<IpAddr>> {
    if text.is_empty() {
        return Some(None);
    }
    let address: IpAddr = text.parse().ok()?;
    (!address.is_unspecified() && !address.is_multicast()).then_some(Some(address))
}

/// `20000-20063`; `0` or `0-0` for any that are free.
fn parse_ports(text: &str) -> Option<PortRange> {
    if text == "0" {
        return Some(PortRange::ephemeral());
    }
    let range: PortRange = text.parse().ok()?;
    (range == PortRange::ephemeral() || range.first >= 1024).then_some(range)
}
