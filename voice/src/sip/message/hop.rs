//! Where a message goes, or came from: an address and the transport to it (RFC 3261 §18).

use std::fmt;
use std::net::SocketAddr;

/// How SIP travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    pub const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

    /// As a URI's `transport` parameter has it.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }

    /// As a Via has it (§20.42).
    pub fn via_name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// From a URI's `transport` parameter, in any case.
    pub fn named(name: &str) -> Option<Transport> {
        Transport::ALL
            .into_iter()
            .find(|transport| transport.name().eq_ignore_ascii_case(name))
    }

    /// Where a URI says no port (§19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        }
    }

    /// Whether what is sent arrives, or the sender is told: nothing is then sent again (§17.1.1.2).
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
    /// The same, with an IPv4 address as such, though a socket for both families shows it as IPv6.
    pub fn canonical(self) -> Hop {
        let ip = self.address.ip().to_canonical();
        Hop {
            address: SocketAddr::new(ip, self.address.port()),
            ..self
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport, self.address)
    }
}

/// By UDP.
impl From<SocketAddr> for Hop {
    fn from(address: SocketAddr) -> Hop {
        Hop {
            transport: Transport::Udp,
            address,
        }
    }
}
