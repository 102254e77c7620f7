//! Who is calling: the client's address behind trusted proxies, and a key's allowlist.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use thiserror::Error;

/// The most entries that one key's allowlist holds.
pub const MAX_ALLOWLIST: usize = 50;

/// An allowlist entry that is neither an address nor a range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is neither an IP address nor a CIDR range such as 10.0.0.0/8")]
pub struct MalformedEntry(pub String);

/// An IPv4 address that travels as `::ffff:a.b.c.d` is that IPv4 address.
pub fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Reads one allowlist entry: a single address or a CIDR range, IPv4 or IPv6.
pub fn parse_entry(text: &str) -> Result<IpNet, MalformedEntry> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(unmapped(address)));
    }
    text.parse::<IpNet>()
        .map(|net| net.trunc())
        .map_err(|_| MalformedEntry(text.to_owned()))
}

/// Whether `client` may use a key with this allowlist. An empty one lets everybody in.
pub fn allowed(allowlist: &[IpNet], client: IpAddr) -> bool {
    allowlist.is_empty() || allowlist.iter().any(|net| net.contains(&client))
}

/// What a request says about where it comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claims<'a> {
    /// `CF-Connecting-IP`, or `Cloudflare-Connecting-IP`.
    pub connecting_ip: Option<&'a str>,
    /// `X-Forwarded-For`, several headers joined by commas.
    pub forwarded_for: Option<&'a str>,
}

/// The client's address. Headers count only when `peer` is a trusted proxy; a malformed one is
/// skipped. Of `X-Forwarded-For` the right-most address that is no trusted proxy counts. What stands left of
/// an entry that is no address was not written by a proxy of ours, and tells nothing.
pub fn client_ip(peer: IpAddr, claims: Claims<'_>, trusted: &[IpNet]) -> IpAddr {
    let peer = unmapped(peer);
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    if let Some(address) = claims.connecting_ip.and_then(parse_address) {
        return address;
    }
    claims
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
        let port_is_sane = port.is_empty() || port.strip_prefix(':')?.parse::<u16>().is_ok();
        return port_is_sane
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
            Claims {
                connecting_ip,
                forwarded_for,
            },
            &trusted,
        )
    }

    #[test]
    fn headers_count_only_from_a_trusted_proxy() {
        let spoofed = Some("198.51.100.9");
        assert_eq!(resolve("203.0.113.5", spoofed, spoofed), ip("203.0.113.5"));
        assert_eq!(resolve("127.0.0.1", spoofed, None), ip("198.51.100.9"));
        assert_eq!(
            resolve("::ffff:127.0.0.1", spoofed, None),
            ip("198.51.100.9")
        );
    }

    #[test]
    fn cloudflare_comes_before_forwarded_for_before_the_peer() {
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
    fn the_rightmost_address_that_is_no_proxy_counts() {
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
    fn an_allowlist_lets_in_what_matches_any_of_it() {
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
            assert_eq!(allowed(&list, ip(client)), inside, "{client}");
        }
        assert!(allowed(&[], ip("192.0.2.77")));
    }

    #[test]
    fn an_entry_that_is_no_range_is_named_in_the_error() {
        for text in ["10.0.0.0/33", "10.0.0", "example.com", "", "10.0.0.0/8/8"] {
            assert_eq!(parse_entry(text), Err(MalformedEntry(text.to_owned())));
        }
        assert_eq!(parse_entry("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
    }
}
