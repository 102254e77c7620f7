//! A gateway's SIP URI, `sip:host[:port][;transport=udp|tcp|tls]` (RFC 3261 §19.1).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// How SIP travels to a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// Where a gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayUri {
    /// An IP address without brackets, or a host name.
    pub host: String,
    /// 5060 where none is written, 5061 for TLS.
    pub port: u16,
    pub transport: Transport,
}

/// The text is no URI of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not sip:host[:port][;transport=udp|tcp|tls]")]
pub struct MalformedUri;

impl GatewayUri {
    /// `host:port`, an IPv6 address in brackets, as it stands in SIP URIs.
    pub fn host_and_port(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
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
            None | Some("transport=udp") => Transport::Udp,
            Some("transport=tcp") => Transport::Tcp,
            Some("transport=tls") => Transport::Tls,
            Some(_) => return Err(MalformedUri),
        };
        let (host, port) = split_port(address).ok_or(MalformedUri)?;
        let port = match (port, transport) {
            (Some(port), _) => port.parse().ok().filter(|p| *p > 0).ok_or(MalformedUri)?,
            (None, Transport::Udp | Transport::Tcp) => 5060,
            (None, Transport::Tls) => 5061,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            transport,
        })
    }
}

impl fmt::Display for GatewayUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        write!(f, "sip:{};transport={transport}", self.host_and_port())
    }
}

fn split_port(address: &str) -> Option<(&str, Option<&str>)> {
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

/// An IPv4 address, or a host name (RFC 1123 §2.1). What looks like an address must be one.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    match text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        true => text
            .parse::<Ipv4Addr>()
            .is_ok_and(|ip| !ip.is_unspecified()),
        false => text.len() <= 253 && text.split('.').all(is_label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateways_uri_is_read() {
        for (text, host, port, transport, written) in [
            (
                "sip:203.0.113.10",
                "203.0.113.10",
                5060,
                Transport::Udp,
                "203.0.113.10:5060",
            ),
            (
                "sip:10.1.2.3:5080;transport=udp",
                "10.1.2.3",
                5080,
                Transport::Udp,
                "10.1.2.3:5080",
            ),
            (
                "sip:sbc.example.vn;transport=tcp",
                "sbc.example.vn",
                5060,
                Transport::Tcp,
                "sbc.example.vn:5060",
            ),
            (
                "sip:sbc-1:5061;transport=tls",
                "sbc-1",
                5061,
                Transport::Tls,
                "sbc-1:5061",
            ),
            (
                "sip:sbc;transport=tls",
                "sbc",
                5061,
                Transport::Tls,
                "sbc:5061",
            ),
            (
                "sip:[2001:db8::1]:5060",
                "2001:db8::1",
                5060,
                Transport::Udp,
                "[2001:db8::1]:5060",
            ),
            ("sip:[::1]", "::1", 5060, Transport::Udp, "[::1]:5060"),
        ] {
            let uri: GatewayUri = text.parse().unwrap();
            assert_eq!(
                (uri.host.as_str(), uri.port, uri.transport),
                (host, port, transport)
            );
            assert_eq!(uri.host_and_port(), written);
            assert_eq!(uri.to_string().parse(), Ok(uri));
        }
    }

    #[test]
    fn what_is_no_gateways_uri_is_refused() {
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
