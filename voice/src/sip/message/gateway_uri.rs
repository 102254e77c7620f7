//! A gateway's SIP URI, `sip:host[:port][;transport=udp|tcp|tls]` (RFC 3261 §19.1).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use super::hop::Transport;

/// The address of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GatewayUri {
    /// An IP address without brackets, or a host name.
    pub host: String,
    /// `None`: not given; for a host name, DNS decides.
    pub port: Option<u16>,
    /// `None`: not given; for a host name, DNS decides.
    pub transport: Option<Transport>,
}

/// The text is not the URI of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected sip:host[:port][;transport=udp|tcp|tls]")]
pub struct MalformedUri;

impl GatewayUri {
    /// The host as an IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The given transport, or UDP.
    pub fn transport_or_udp(&self) -> Transport {
        self.transport.unwrap_or(Transport::Udp)
    }

    /// The given port, or the default port of the transport.
    pub fn port_or_default(&self) -> u16 {
        let default = self.transport_or_udp().default_port();
        self.port.unwrap_or(default)
    }

    /// The host as written in SIP URIs: IPv6 addresses in brackets.
    pub fn domain(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        }
    }

    /// `host:port` as written in SIP URIs. A host name without a port stays without: DNS provides the port.
    pub fn host_and_port(&self) -> String {
        match (self.ip(), self.port) {
            (None, None) => self.domain(),
            (Some(_), _) | (None, Some(_)) => {
                format!("{}:{}", self.domain(), self.port_or_default())
            }
        }
    }
}

impl FromStr for GatewayUri {
    type Err = MalformedUri;

    fn from_str(text: &str) -> Result<Self, MalformedUri> {
        let rest = text.strip_prefix("sip:").ok_or(MalformedUri)?;
        let (address, parameters) = match rest.split_once(';') {
            Some((address, parameters)) => (address, Some(parameters)),
            None => (rest, None),
        };
        let transport = match parameters {
            None => None,
            Some(parameter) => {
                let name = parameter.strip_prefix("transport=").ok_or(MalformedUri)?;
                Some(Transport::from_name(name).ok_or(MalformedUri)?)
            }
        };
        let (host, port) = split_port(address).ok_or(MalformedUri)?;
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|p| *p > 0).ok_or(MalformedUri)?),
            None => None,
        };
        Ok(Self { host: host.to_owned(), port, transport })
    }
}

impl fmt::Display for GatewayUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sip:{}", self.domain())?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.transport {
            Some(transport) => write!(f, ";transport={transport}"),
            None => Ok(()),
        }
    }
}

/// Splits an address with an optional port. IPv6 addresses are in brackets, which the host is without.
pub(super) fn split_port(address: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest {
            "" => Some((host, None)),
            rest => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    let (host, port) = match address.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    is_host(host).then_some((host, port))
}

/// Whether the text is an IPv4 address or a host name (RFC 1123 §2.1). Digits and dots alone must be an
/// address.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    match text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        true => text.parse::<Ipv4Addr>().is_ok_and(|ip| !ip.is_unspecified()),
        false => text.len() <= 253 && text.split('.').all(is_label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_uri_is_parsed() {
        for (text, host, port, transport, written) in [
            ("sip:203.0.113.10", "203.0.113.10", 5060, Transport::Udp, "203.0.113.10:5060"),
            ("sip:10.1.2.3:5080;transport=udp", "10.1.2.3", 5080, Transport::Udp, "10.1.2.3:5080"),
            (
                "sip:sbc.example.vn;transport=tcp",
                "sbc.example.vn",
                5060,
                Transport::Tcp,
                "sbc.example.vn",
            ),
            ("sip:sbc-1:5061;transport=tls", "sbc-1", 5061, Transport::Tls, "sbc-1:5061"),
            ("sip:sbc;transport=tls", "sbc", 5061, Transport::Tls, "sbc"),
            ("sip:[2001:db8::1]:5060", "2001:db8::1", 5060, Transport::Udp, "[2001:db8::1]:5060"),
            ("sip:[::1]", "::1", 5060, Transport::Udp, "[::1]:5060"),
        ] {
            let uri: GatewayUri = text.parse().unwrap();
            assert_eq!(
                (uri.host.as_str(), uri.port_or_default(), uri.transport_or_udp()),
                (host, port, transport)
            );
            assert_eq!(uri.host_and_port(), written);
            assert_eq!(uri.to_string().parse(), Ok(uri));
        }
    }

    #[test]
    fn any_other_uri_is_rejected() {
        for text in [
            "",
            "203.0.113.10",
            "sip:",
            "sips:203.0.113.10",
            "SIP:203.0.113.10",
            "sip:user@203.0.113.10",
            "sip:203.0.113",
            "sip:203.0.113.256",
            "sip:0.0.0.0",
            "sip:203.0.113.10:0",
            "sip:203.0.113.10:65536",
            "sip:203.0.113.10:",
            "sip:203.0.113.10;transport=sctp",
            "sip:203.0.113.10;lr",
            "sip:2001:db8::1",
            "sip:[2001:db8::1",
            "sip:[2001:db8::1]5060",
            "sip:-sbc",
            "sip:sbc..vn",
            "sip:sbc vn",
            "sip:sbc\r\nX: y",
        ] {
            assert_eq!(text.parse::<GatewayUri>(), Err(MalformedUri), "{text:?}");
        }
    }
}
