//! The client's address behind trusted proxies and Cloudflare, and the allowlist of a key.

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
    text.parse::<IpNet>().map(|net| net.trunc()).map_err(|_| MalformedEntry(text.to_owned()))
}

/// Whether `client` may use a key with this allowlist. An empty allowlist admits every address.
pub fn is_allowed(allowlist: &[IpNet], client: IpAddr) -> bool {
    allowlist.is_empty() || allowlist.iter().any(|net| net.contains(&client))
}

/// The address ranges that Cloudflare publishes (<https://www.cloudflare.com/ips/>).
pub const CLOUDFLARE_RANGES: [&str; 22] = [
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

/// The senders whose statements about the client's address are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedSources {
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpNet>,
    /// The addresses from which Cloudflare connects. `CF-Connecting-IP` is believed only from these.
    pub cloudflare: Vec<IpNet>,
}

/// The headers of a request that state the client's address: the values of all lines with that name, in order.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientHeaders<'a> {
    pub cf_connecting_ip: &'a [&'a [u8]],
    /// The other name of `CF-Connecting-IP`.
    pub cloudflare_connecting_ip: &'a [&'a [u8]],
    pub forwarded_for: &'a [&'a [u8]],
}

/// The client's address.
///
/// `X-Forwarded-For` is used if `peer` is a trusted proxy: its right-most address that is not a trusted proxy counts.
/// Cloudflare's header is used if `peer`, or that right-most address, is one of Cloudflare's. A malformed header is
/// skipped.
pub fn client_ip(peer: IpAddr, headers: ClientHeaders<'_>, trusted: &TrustedSources) -> IpAddr {
    let peer = unmapped(peer);
    let forwarded = contains(&trusted.proxies, peer)
        .then(|| forwarded_address(headers.forwarded_for, &trusted.proxies))
        .flatten();
    let nearest = forwarded.unwrap_or(peer);
    let is_from_cloudflare =
        [peer, nearest].into_iter().any(|address| contains(&trusted.cloudflare, address));
    match is_from_cloudflare {
        true => cloudflare_address(headers).unwrap_or(nearest),
        false => nearest,
    }
}

fn contains(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address))
}

/// The right-most address that is not a trusted proxy. An entry that is not an address was not written by a trusted
/// proxy, so it and everything to its left is ignored.
fn forwarded_address(lines: &[&[u8]], proxies: &[IpNet]) -> Option<IpAddr> {
    lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(|byte| *byte == b','))
        // A list may have empty elements (RFC 9110 §5.6.1.2).
        .filter(|entry| !entry.trim_ascii().is_empty())
        .map_while(parse_address)
        .find(|address| !contains(proxies, *address))
}

/// The address in Cloudflare's header. Cloudflare always sets `CF-Connecting-IP` itself, but passes on a
/// `Cloudflare-Connecting-IP` of the client, so the second name counts only without the first.
fn cloudflare_address(headers: ClientHeaders<'_>) -> Option<IpAddr> {
    let lines = match headers.cf_connecting_ip {
        [] => headers.cloudflare_connecting_ip,
        lines => lines,
    };
    let (first, others) = lines.split_first()?;
    let address = parse_address(first)?;
    // Cloudflare sends one line. With several different ones, at least one is forged.
    let is_unambiguous = others.iter().all(|other| parse_address(other) == Some(address));
    is_unambiguous.then_some(address)
}

/// An address as proxies write it: bare, `[v6]`, `v4:port` or `[v6]:port`.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
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

    /// A peer, its header lines, and the client's address.
    type Case = (&'static str, &'static [(Header, &'static [u8])], &'static str);

    #[derive(Clone, Copy, PartialEq)]
    enum Header {
        Cf,
        Cloudflare,
        Forwarded,
    }
    use Header::{Cf, Cloudflare, Forwarded};

    fn resolve(peer: &str, lines: &[(Header, &[u8])], trusted: &TrustedSources) -> IpAddr {
        let of = |header: Header| -> Vec<&[u8]> {
            let lines = lines.iter().filter(|(name, _)| *name == header);
            lines.map(|(_, value)| *value).collect()
        };
        let headers = ClientHeaders {
            cf_connecting_ip: &of(Cf),
            cloudflare_connecting_ip: &of(Cloudflare),
            forwarded_for: &of(Forwarded),
        };
        client_ip(ip(peer), headers, trusted)
    }

    /// Loopback and 10.0.0.0/8 as proxies, and Cloudflare's published ranges.
    fn published() -> TrustedSources {
        TrustedSources {
            proxies: nets(&["127.0.0.0/8", "::1", "10.0.0.0/8"]),
            cloudflare: nets(&CLOUDFLARE_RANGES),
        }
    }

    fn check(cases: &[Case]) {
        for (number, (peer, lines, client)) in cases.iter().enumerate() {
            let seen = resolve(peer, lines, &published());
            assert_eq!(seen, ip(client), "case {number}");
        }
    }

    #[test]
    fn headers_of_a_peer_that_is_no_proxy_are_not_used() {
        check(&[
            ("203.0.113.5", &[(Forwarded, b"198.51.100.9")], "203.0.113.5"),
            ("203.0.113.5", &[(Cf, b"198.51.100.9")], "203.0.113.5"),
            ("203.0.113.5", &[(Cloudflare, b"198.51.100.9")], "203.0.113.5"),
            // It claims to be behind Cloudflare.
            ("203.0.113.5", &[(Cf, b"198.51.100.9"), (Forwarded, b"173.245.48.1")], "203.0.113.5"),
            ("::ffff:203.0.113.5", &[], "203.0.113.5"),
        ]);
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
            let seen = resolve("127.0.0.1", &[(Forwarded, list.as_bytes())], &published());
            assert_eq!(seen, ip(client), "{list:?}");
        }
        check(&[
            ("127.0.0.1", &[], "127.0.0.1"),
            ("::ffff:127.0.0.1", &[(Forwarded, b"203.0.113.2")], "203.0.113.2"),
            // The proxy's own line is the last one, or the end of the last one.
            (
                "127.0.0.1",
                &[(Forwarded, b"198.51.100.1"), (Forwarded, b"203.0.113.7")],
                "203.0.113.7",
            ),
            (
                "127.0.0.1",
                &[(Forwarded, b"203.0.113.7, 10.1.1.1"), (Forwarded, b"10.0.0.9")],
                "203.0.113.7",
            ),
            // Bytes that are not text do not hide what the proxy appended to them.
            ("127.0.0.1", &[(Forwarded, b"\xff\xfe, 203.0.113.7")], "203.0.113.7"),
            ("127.0.0.1", &[(Forwarded, b"203.0.113.7, \xff")], "127.0.0.1"),
        ]);
    }

    #[test]
    fn cloudflares_header_counts_only_from_cloudflare() {
        check(&[
            // Through a proxy that passes the header on, from an address that is not Cloudflare's.
            ("127.0.0.1", &[(Cf, b"198.51.100.9")], "127.0.0.1"),
            ("127.0.0.1", &[(Cf, b"198.51.100.9"), (Forwarded, b"203.0.113.7")], "203.0.113.7"),
            (
                "127.0.0.1",
                &[(Cloudflare, b"198.51.100.9"), (Forwarded, b"203.0.113.7")],
                "203.0.113.7",
            ),
            // A Cloudflare address that the client itself wrote, to the left of its own.
            (
                "127.0.0.1",
                &[(Cf, b"198.51.100.9"), (Forwarded, b"173.245.48.1, 203.0.113.7")],
                "203.0.113.7",
            ),
            // Cloudflare connects directly.
            ("173.245.48.1", &[(Cf, b"198.51.100.9")], "198.51.100.9"),
            ("::ffff:173.245.48.1", &[(Cf, b"198.51.100.9")], "198.51.100.9"),
            ("2606:4700::1", &[(Cf, b"2001:db8::7")], "2001:db8::7"),
            ("173.245.48.1", &[(Cloudflare, b"198.51.100.9")], "198.51.100.9"),
            ("173.245.48.1", &[(Forwarded, b"198.51.100.9")], "173.245.48.1"),
            // Client, Cloudflare, proxy.
            (
                "127.0.0.1",
                &[(Cf, b"198.51.100.9"), (Forwarded, b"192.0.2.1, 104.16.0.9")],
                "198.51.100.9",
            ),
            (
                "127.0.0.1",
                &[(Cf, b"198.51.100.9"), (Forwarded, b"104.16.0.9, 10.0.0.3")],
                "198.51.100.9",
            ),
            ("127.0.0.1", &[(Forwarded, b"198.51.100.9, 104.16.0.9")], "104.16.0.9"),
        ]);
    }

    #[test]
    fn a_malformed_or_ambiguous_header_is_skipped() {
        check(&[
            ("173.245.48.1", &[(Cf, b"not-an-ip")], "173.245.48.1"),
            ("173.245.48.1", &[(Cf, b"1.2.3")], "173.245.48.1"),
            ("173.245.48.1", &[(Cf, b"\xff")], "173.245.48.1"),
            ("173.245.48.1", &[(Cf, b"198.51.100.9, 203.0.113.1")], "173.245.48.1"),
            ("173.245.48.1", &[(Cf, b"::ffff:198.51.100.9")], "198.51.100.9"),
            ("173.245.48.1", &[(Cf, b" 198.51.100.9 ")], "198.51.100.9"),
            ("173.245.48.1", &[(Cf, b"198.51.100.9"), (Cf, b"203.0.113.1")], "173.245.48.1"),
            ("173.245.48.1", &[(Cf, b"198.51.100.9"), (Cf, b"198.51.100.9")], "198.51.100.9"),
            // Cloudflare passes on the second name from the client.
            (
                "173.245.48.1",
                &[(Cloudflare, b"203.0.113.1"), (Cf, b"198.51.100.9")],
                "198.51.100.9",
            ),
            ("173.245.48.1", &[(Cloudflare, b"203.0.113.1"), (Cf, b"x")], "173.245.48.1"),
            ("127.0.0.1", &[(Cf, b"x"), (Forwarded, b"203.0.113.2")], "203.0.113.2"),
        ]);
    }

    #[test]
    fn without_cloudflare_ranges_its_header_never_counts() {
        let trusted = TrustedSources { proxies: nets(&["127.0.0.0/8"]), cloudflare: Vec::new() };
        for peer in ["173.245.48.1", "127.0.0.1"] {
            for header in [Cf, Cloudflare] {
                let lines: [(Header, &[u8]); 1] = [(header, b"198.51.100.9")];
                assert_eq!(resolve(peer, &lines, &trusted), ip(peer));
            }
        }
    }

    #[test]
    fn the_published_ranges_are_networks() {
        for range in CLOUDFLARE_RANGES {
            assert_eq!(parse_entry(range).unwrap().to_string(), range);
        }
    }

    #[test]
    fn an_allowlist_admits_what_matches_any_entry() {
        let list = nets(&["203.0.113.5", "10.0.0.0/8", "2001:db8::/32", "::ffff:192.0.2.1"]);
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
