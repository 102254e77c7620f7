//! `[sip]`: the local addresses and ports of SIP and RTP.

use std::net::{IpAddr, SocketAddr};

use nexo_voice::rtp::send::ports::PortRange;

use crate::config::read::error::ConfigError;
use crate::config::read::section::Reader;

/// `[sip]`.
#[derive(Debug, Clone)]
pub struct SipConfig {
    /// The local address of SIP over UDP. Carriers identify the gateway by this address and port.
    pub listen_udp: SocketAddr,
    /// The UDP ports for audio, which a firewall must allow. `0`: any free ports.
    pub rtp_ports: PortRange,
    /// The public address in Contact and SDP behind NAT. None: the local address.
    pub public_ip: Option<IpAddr>,
    /// The DNS servers for gateways with host names. Empty: the system's.
    pub dns_servers: Vec<SocketAddr>,
}

impl SipConfig {
    pub(in crate::config) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
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
                "two ports from 1024 to 65535, such as 20000-20063, or 0 for any free ports",
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

/// Parses `20000-20063`; `0` or `0-0` means any free ports.
fn parse_ports(text: &str) -> Option<PortRange> {
    if text == "0" {
        return Some(PortRange::ephemeral());
    }
    let range: PortRange = text.parse().ok()?;
    (range == PortRange::ephemeral() || range.first >= 1024).then_some(range)
}
