//! The client's address behind trusted proxies, and the allowlist of a key.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use thiserror::Error;

/// The most entries in the allowlist of a key.
pub const MAX_ALLOWLIST: usize = 50;

/// The allowlist entry is neither an address nor a range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is neither an IP address nor a CIDR range such as 10.0.0.0/8")]
pub struct MalformedEntry(pub String);

/// Converts an IPv4-mapped address (`::ffff:a.b.c.d`) to the IPv4 address.
pub fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Parses an allowlist entry: an address or a CIDR range, IPv4 or IPv6.
pub fn parse_entry(text: &str) -> Result<IpNet, MalformedEntry> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(unmapped(address)));
    }
    text.parse::<IpNet>()
        .map(|net| net.trunc())
        .map_err(|_| MalformedEntry(text.to_owned()))
}

/// Whether `client` may use a key with this allowlist. An empty allowlist admits every address.
pub fn is_allowed(allowlist: &[IpNet], client: IpAddr) -> bool {
    allowlist.is_empty() || allowlist.iter().any(|net| net.contains(&client))
}

/// The headers of a request that state the client's address.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientHeaders<'a> {
    /// `CF-Connecting-IP`, or `Cloudflare-Connecting-IP`.
    pub connecting_ip: Option<&'a str>,
    /// `X-Forwarded-For`. Several headers are joined by commas.
    pub forwarded_for: Option<&'a str>,
}

/// The client's address. Headers are used only if `peer` is a trusted proxy. A malformed header is skipped. In
/// `X-Forwarded-For`, the right-most address that is not a trusted proxy is used. An entry that is not an address was
/// not written by a trusted proxy, so it and everything to its left is ignored.
pub fn client_ip(peer: IpAddr, headers: ClientHeaders<'_>, trusted: &[IpNet]) -> IpAddr {
    let peer = unmapped(peer);
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    if let Some(address) = headers.connecting_ip.and_then(parse_address) {
        return address;
    }
    headers
        .forwarded_for
        .into_iter()
        .flat_map(|list| list.rsplit(','))
        // A list may have empty elements (RFC 9110 §5.6.1.2).
        .filter(|entry| !entry.trim().is_empty())
        .map_while(parse_address)
        .find(|address| !is_trusted(address))
        .unwrap_or(peer)
}

/// An address as proxies write it: bare, `[v6]`, `v4:port` or `[v6]:port`.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(unmapped(address));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, port) = rest.split_once(']')?;
        let has_valid_port = port.is_empty() || port.strip_prefix(':')?.parse::<u16>().is_ok();
        return has_valid_port
            .then(|| inside.parse::<Ipv6Addr>().ok())
            .flatten()
            .map(|v6| unmapped(IpAddr::V6(v6)));
    }
    let (address, port) = text.split_once(':')?;
    port.parse::<u16>().ok()?;
    address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|t| parse_entry(t).unwrap()).collect()
    }

    fn resolve(peer: &str, connecting_ip: Option<&str>, forwarded_for: Option<&str>) -> IpAddr {
        let trusted = nets(&["127.0.0.0/8", "::1", "10.0.0.0/8"]);
        client_ip(
            ip(peer),
            ClientHeaders {
                connecting_ip,
                forwarded_for,
            },
            &trusted,
        )
    }

    #[test]
    fn headers_are_used_only_from_a_trusted_proxy() {
        let spoofed = Some("198.51.100.9");
        assert_eq!(resolve("203.0.113.5", spoofed, spoofed), ip("203.0.113.5"));
        assert_eq!(resolve("127.0.0.1", spoofed, None), ip("198.51.100.9"));
        assert_eq!(
            resolve("::ffff:127.0.0.1", spoofed, None),
            ip("198.51.100.9")
        );
    }

    #[test]
    fn connecting_ip_precedes_forwarded_for_and_the_peer() {
        assert_eq!(
            resolve("127.0.0.1", Some("203.0.113.1"), Some("203.0.113.2")),
            ip("203.0.113.1")
        );
        assert_eq!(
            resolve("127.0.0.1", None, Some("203.0.113.2")),
            ip("203.0.113.2")
        );
        assert_eq!(resolve("127.0.0.1", None, None), ip("127.0.0.1"));
    }

    #[test]
    fn the_rightmost_address_that_is_not_a_proxy_is_used() {
        for (list, client) in [
            ("198.51.100.1, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
            ("203.0.113.7", "203.0.113.7"),
            ("10.1.2.3, 127.0.0.1", "127.0.0.1"),
            ("203.0.113.7:4711, 10.0.0.1", "203.0.113.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("unknown, 203.0.113.7, 10.0.0.1,", "203.0.113.7"),
            ("198.51.100.1, banana", "127.0.0.1"),
            ("198.51.100.1, unknown, 10.0.0.1", "127.0.0.1"),
            ("", "127.0.0.1"),
            (",,,", "127.0.0.1"),
        ] {
            assert_eq!(
                resolve("127.0.0.1", None, Some(list)),
                ip(client),
                "{list:?}"
            );
        }
    }

    #[test]
    fn a_malformed_header_is_skipped() {
        assert_eq!(
            resolve("127.0.0.1", Some("not-an-ip"), Some("203.0.113.2")),
            ip("203.0.113.2")
        );
        assert_eq!(
            resolve("127.0.0.1", Some("1.2.3"), Some("x")),
            ip("127.0.0.1")
        );
    }

    #[test]
    fn an_allowlist_admits_what_matches_any_entry() {
        let list = nets(&[
            "203.0.113.5",
            "10.0.0.0/8",
            "2001:db8::/32",
            "::ffff:192.0.2.1",
        ]);
        for (client, inside) in [
            ("203.0.113.5", true),
            ("203.0.113.6", false),
            ("10.200.3.4", true),
            ("11.0.0.1", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("192.0.2.1", true),
        ] {
            assert_eq!(is_allowed(&list, ip(client)), inside, "{client}");
        }
        assert!(is_allowed(&[], ip("192.0.2.77")));
    }

    #[test]
    fn an_invalid_entry_is_named_in_the_error() {
        for text in ["10.0.0.0/33", "10.0.0", "example.com", "", "10.0.0.0/8/8"] {
            assert_eq!(parse_entry(text), Err(MalformedEntry(text.to_owned())));
        }
        assert_eq!(parse_entry("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
    }
}
