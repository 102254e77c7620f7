//! From where an IP address can be reached.

use std::net::IpAddr;

/// From where an IP address can be reached, the narrowest scope first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// This host (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    Host,
    /// This link (RFC 3927, RFC 4291 §2.5.6).
    Link,
    /// A private network, or that of a provider (RFC 1918, RFC 4193, RFC 6598).
    Private,
    Global,
}

impl Scope {
    /// The scope of a host's address. `None`: unspecified, multicast or broadcast.
    pub fn of(ip: IpAddr) -> Option<Scope> {
        let ip = ip.to_canonical();
        if ip.is_unspecified() || ip.is_multicast() {
            return None;
        }
        let is_link = match ip {
            IpAddr::V4(ip) if ip.is_broadcast() => return None,
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        let is_private = match ip {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                ip.is_private() || (a == 100 && b & 0xc0 == 64)
            }
            IpAddr::V6(ip) => ip.is_unique_local(),
        };
        Some(match (ip.is_loopback(), is_link, is_private) {
            (true, _, _) => Scope::Host,
            (false, true, _) => Scope::Link,
            (false, false, true) => Scope::Private,
            (false, false, false) => Scope::Global,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_scope() {
        for (ip, scope) in [
            ("127.0.0.1", Some(Scope::Host)),
            ("::1", Some(Scope::Host)),
            ("169.254.9.9", Some(Scope::Link)),
            ("fe80::1", Some(Scope::Link)),
            ("10.1.2.3", Some(Scope::Private)),
            ("100.64.0.1", Some(Scope::Private)),
            ("fd00::1", Some(Scope::Private)),
            ("::ffff:192.168.1.1", Some(Scope::Private)),
            ("100.128.0.1", Some(Scope::Global)),
            ("203.0.113.9", Some(Scope::Global)),
            ("2001:db8::1", Some(Scope::Global)),
            ("0.0.0.0", None),
            ("::", None),
            ("255.255.255.255", None),
            ("224.0.0.1", None),
            ("ff02::1", None),
        ] {
            assert_eq!(Scope::of(ip.parse().unwrap()), scope, "{ip}");
        }
    }
}
