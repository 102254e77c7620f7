//! The destination or source of a message: a transport and an address (RFC 3261 §18).

use std::fmt;
use std::net::SocketAddr;

/// A SIP transport.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    pub const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

    /// The name in a URI's `transport` parameter.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }

    /// The name in a Via (§20.42).
    pub fn via_name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// The transport with this name, in any case.
    pub fn from_name(name: &str) -> Option<Transport> {
        Transport::ALL.into_iter().find(|transport| transport.name().eq_ignore_ascii_case(name))
    }

    /// The port of a URI without one (§19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        }
    }

    /// Whether the transport delivers messages or reports a failure. Then SIP does not retransmit
    /// (§17.1.1.2).
    pub fn is_reliable(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls => true,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One end of a transport.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Hop {
    pub transport: Transport,
    pub address: SocketAddr,
}

impl Hop {
    /// The same hop with an IPv4-mapped IPv6 address turned into IPv4: dual-stack sockets report IPv4 that way.
    pub fn canonical(self) -> Hop {
        let ip = self.address.ip().to_canonical();
        Hop { address: SocketAddr::new(ip, self.address.port()), ..self }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport, self.address)
    }
}

/// A hop over UDP.
impl From<SocketAddr> for Hop {
    fn from(address: SocketAddr) -> Hop {
        Hop { transport: Transport::Udp, address }
    }
}
