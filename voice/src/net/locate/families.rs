//! IPv4, IPv6 or both: what our own SIP port can talk to.

use std::fmt;
use std::net::IpAddr;

use hickory_resolver::config::LookupIpStrategy;

/// The families of addresses that a socket reaches. A gateway's places of another one are none for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Families {
    V4,
    V6,
    Both,
}

impl Families {
    /// Those of a socket that is bound to `listen`. On the unspecified IPv6 address it reaches both.
    pub fn of(listen: IpAddr) -> Families {
        match listen {
            IpAddr::V4(_) => Families::V4,
            IpAddr::V6(ip) if ip.is_unspecified() => Families::Both,
            IpAddr::V6(_) => Families::V6,
        }
    }

    pub fn hold(self, ip: IpAddr) -> bool {
        match self {
            Families::V4 => ip.is_ipv4(),
            Families::V6 => ip.is_ipv6(),
            Families::Both => true,
        }
    }

    /// What a host is looked up for.
    pub(super) fn strategy(self) -> LookupIpStrategy {
        match self {
            Families::V4 => LookupIpStrategy::Ipv4Only,
            Families::V6 => LookupIpStrategy::Ipv6Only,
            Families::Both => LookupIpStrategy::Ipv4AndIpv6,
        }
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Families::V4 => "IPv4",
            Families::V6 => "IPv6",
            Families::Both => "IPv4 or IPv6",
        })
    }
}
