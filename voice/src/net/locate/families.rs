//! The address families that our SIP port can reach.

use std::fmt;
use std::net::IpAddr;

use hickory_resolver::config::LookupIpStrategy;

/// The address families that a socket reaches. Addresses of other families are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressFamilies {
    V4,
    V6,
    Both,
}

impl AddressFamilies {
    /// The families of a socket bound to `listen`. On the unspecified IPv6 address it is dual-stack.
    pub fn of(listen: IpAddr) -> AddressFamilies {
        match listen {
            IpAddr::V4(_) => AddressFamilies::V4,
            IpAddr::V6(ip) if ip.is_unspecified() => AddressFamilies::Both,
            IpAddr::V6(_) => AddressFamilies::V6,
        }
    }

    pub fn contains(self, ip: IpAddr) -> bool {
        match self {
            AddressFamilies::V4 => ip.is_ipv4(),
            AddressFamilies::V6 => ip.is_ipv6(),
            AddressFamilies::Both => true,
        }
    }

    /// The address records to look up.
    pub(super) fn strategy(self) -> LookupIpStrategy {
        match self {
            AddressFamilies::V4 => LookupIpStrategy::Ipv4Only,
            AddressFamilies::V6 => LookupIpStrategy::Ipv6Only,
            AddressFamilies::Both => LookupIpStrategy::Ipv4AndIpv6,
        }
    }
}

impl fmt::Display for AddressFamilies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressFamilies::V4 => "IPv4",
            AddressFamilies::V6 => "IPv6",
            AddressFamilies::Both => "IPv4 or IPv6",
        })
    }
}
