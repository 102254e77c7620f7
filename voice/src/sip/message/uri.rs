//! SIP and SIPS URIs: their parts and their comparison (RFC 3261 §19.1).

use std::borrow::Cow;
use std::net::IpAddr;

use super::gateway_uri::split_port;
use super::header::{param, split_outside_quotes};
use super::hop::Transport;

/// The parts of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipUri<'a> {
    /// Whether the scheme is `sips`.
    pub is_secure: bool,
    /// As written, with the password if there is one.
    pub user: Option<&'a str>,
    /// An IP address without brackets, or a host name.
    pub host: &'a str,
    pub port: Option<u16>,
    params: &'a str,
}

/// The parameters that matter for a comparison even if only one of the URIs has them (§19.1.4), besides `transport`.
const SIGNIFICANT: [&str; 4] = ["user", "ttl", "method", "maddr"];

impl<'a> SipUri<'a> {
    /// Parses a URI. `None` for other schemes, and for a host or port that cannot be one.
    pub fn parse(text: &'a str) -> Option<SipUri<'a>> {
        let (scheme, rest) = text.split_once(':')?;
        let is_secure = scheme.eq_ignore_ascii_case("sips");
        if !is_secure && !scheme.eq_ignore_ascii_case("sip") {
            return None;
        }
        let (user, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let rest = rest.split('?').next()?;
        let (address, params) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = split_port(address)?;
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
            None => None,
        };
        Some(SipUri { is_secure, user, host, port, params })
    }

    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The transport, UDP if none is given. `None`: an unsupported one.
    pub fn transport(&self) -> Option<Transport> {
        match param(self.params, "transport") {
            None => Some(Transport::Udp),
            Some(name) => Transport::from_name(name),
        }
    }

    /// Whether host and port are the same.
    pub fn is_at_host_of(&self, other: &SipUri<'_>) -> bool {
        let is_same_host = match (self.ip(), other.ip()) {
            (Some(one), Some(other)) => one == other,
            (_, _) => self.host.eq_ignore_ascii_case(other.host),
        };
        is_same_host && self.port == other.port
    }

    /// Whether the user is the same.
    pub fn has_user_of(&self, other: &SipUri<'_>) -> bool {
        self.user.map(decoded) == other.user.map(decoded)
    }

    /// Whether the URIs are equivalent (§19.1.4). More lenient with defaults, which registrars add and remove: a port
    /// and a transport may be given or missing.
    pub fn is_equivalent(&self, other: &SipUri<'_>) -> bool {
        let port = |uri: &SipUri<'_>| {
            let transport = uri.transport().unwrap_or(Transport::Udp);
            Some(uri.port.unwrap_or(transport.default_port()))
        };
        let (one, two) =
            (SipUri { port: port(self), ..*self }, SipUri { port: port(other), ..*other });
        self.is_secure == other.is_secure
            && self.has_user_of(other)
            && one.is_at_host_of(&two)
            && self.transport() == other.transport()
            && self.has_params_of(other)
    }

    fn has_params_of(&self, other: &SipUri<'_>) -> bool {
        let is_same = |one: &str, other: &str| decoded(one).eq_ignore_ascii_case(&decoded(other));
        let significant = SIGNIFICANT.into_iter().all(|name| {
            match (param(self.params, name), param(other.params, name)) {
                (Some(one), Some(other)) => is_same(one, other),
                (one, other) => one == other,
            }
        });
        let mut names = split_outside_quotes(self.params, b';')
            .map(|param| param.split('=').next().unwrap_or_default().trim());
        significant
            && names.all(|name| match (param(self.params, name), param(other.params, name)) {
                (Some(one), Some(other)) => is_same(one, other),
                (_, _) => true,
            })
    }
}

/// The bytes with `%xx` decoded.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let digits = more.first_chunk::<2>().filter(|_| *first == b'%');
        let code = digits.and_then(|digits| hex::decode(digits).ok());
        match code.as_deref() {
            Some([code]) => {
                bytes.push(*code);
                rest = &more[2..];
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_equivalent(one: &str, other: &str) -> bool {
        let parse = |text| SipUri::parse(text).unwrap_or_else(|| panic!("{text}"));
        let both =
            (parse(one).is_equivalent(&parse(other)), parse(other).is_equivalent(&parse(one)));
        assert_eq!(both.0, both.1, "{one} {other}");
        both.0
    }

    /// Those of RFC 3261 §19.1.4 whose headers do not matter, and defaults.
    #[test]
    fn uris_are_compared_as_the_rfc_says() {
        for (one, other) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:a@[2001:db8::0:1]", "SIP:a@[2001:DB8::1]:5060"),
        ] {
            assert!(is_equivalent(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=tcp"),
            ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
            ("sip:bob@biloxi.com", "sip:biloxi.com"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;user=phone"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ] {
            assert!(!is_equivalent(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_uri_without_a_host_is_none() {
        for text in
            ["", "tel:+84", "sip:", "sip:a@", "sip:a@h:0", "sip:a@h:x", "sip:a@0.0.0.0", "*"]
        {
            assert_eq!(SipUri::parse(text), None, "{text}");
        }
        let semicolon =
            SipUri::parse("sip:user;par=u%40example.net@example.com:5070;lr?a=b").unwrap();
        assert_eq!(semicolon.user, Some("user;par=u%40example.net"));
        assert_eq!((semicolon.host, semicolon.port), ("example.com", Some(5070)));
    }
}
