//! Names of header fields in long and compact form, and the syntax of their values.

use std::net::IpAddr;

use memchr::{memchr, memchr2};

/// The name of a header field that this crate reads; any other is [`Name::Other`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    RecordRoute,
    Route,
    ContentLength,
    ContentType,
    MaxForwards,
    RetryAfter,
    Require,
    Supported,
    Allow,
    WwwAuthenticate,
    ProxyAuthenticate,
    Other,
}

/// Long and compact names (RFC 3261 §7.3.3), lower case.
const NAMES: [(&str, Name); 25] = [
    ("via", Name::Via),
    ("v", Name::Via),
    ("from", Name::From),
    ("f", Name::From),
    ("to", Name::To),
    ("t", Name::To),
    ("call-id", Name::CallId),
    ("i", Name::CallId),
    ("cseq", Name::CSeq),
    ("contact", Name::Contact),
    ("m", Name::Contact),
    ("record-route", Name::RecordRoute),
    ("route", Name::Route),
    ("content-length", Name::ContentLength),
    ("l", Name::ContentLength),
    ("content-type", Name::ContentType),
    ("c", Name::ContentType),
    ("max-forwards", Name::MaxForwards),
    ("retry-after", Name::RetryAfter),
    ("require", Name::Require),
    ("supported", Name::Supported),
    ("k", Name::Supported),
    ("allow", Name::Allow),
    ("www-authenticate", Name::WwwAuthenticate),
    ("proxy-authenticate", Name::ProxyAuthenticate),
];

impl Name {
    /// The name, in any case.
    pub fn parse(text: &str) -> Name {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(text))
            .map_or(Name::Other, |(_, name)| *name)
    }
}

/// The state of a scan: separators inside quotes or angle brackets do not count.
#[derive(Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
    bracketed: bool,
}

impl Scan {
    /// Takes the next byte. Returns whether it is outside quotes and brackets.
    fn is_outside(&mut self, byte: u8) -> bool {
        if self.escaped {
            self.escaped = false;
            return false;
        }
        match byte {
            b'\\' if self.quoted => self.escaped = true,
            b'"' if !self.bracketed => {
                self.quoted = !self.quoted;
                return false;
            }
            b'<' if !self.quoted => {
                self.bracketed = true;
                return false;
            }
            b'>' if !self.quoted => {
                self.bracketed = false;
                return false;
            }
            _ => {}
        }
        !self.quoted && !self.bracketed
    }
}

/// The position of the first `separator` outside quotes and angle brackets.
fn find_separator(text: &str, separator: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let first = memchr(separator, bytes)?;
    // Fast path: most values have neither before their first separator.
    if memchr2(b'"', b'<', &bytes[..first]).is_none() {
        return Some(first);
    }
    let mut scan = Scan::default();
    let mut bytes = bytes.iter();
    bytes.position(|byte| scan.is_outside(*byte) && *byte == separator)
}

/// Splits at each `separator` outside quotes and angle brackets, and trims the parts.
pub fn split_outside_quotes(value: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find_separator(text, separator);
        let part = match end {
            Some(end) => {
                rest = Some(&text[end + 1..]);
                &text[..end]
            }
            None => {
                rest = None;
                text
            }
        };
        Some(part.trim())
    })
}

/// An address with its parameters: `"Name" <sip:user@host>;tag=x`, or a URI without brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    pub uri: &'a str,
    /// The parameters, without the first semicolon.
    pub params: &'a str,
}

impl<'a> NameAddr<'a> {
    /// Parses an address with a URI that a request line can contain (RFC 3261 §20.10).
    pub fn parse(value: &'a str) -> Option<NameAddr<'a>> {
        // A blank would end the URI in a request line.
        let is_usable = |uri: &str| !uri.is_empty() && is_single_word(uri);
        NameAddr::split(value).filter(|address| is_usable(address.uri))
    }

    /// Splits an address, whatever its URI contains. Without brackets, parameters belong to the header field, not
    /// to the URI.
    pub(super) fn split(value: &'a str) -> Option<NameAddr<'a>> {
        let open = opening_bracket(value);
        let (uri, rest) = match open {
            Some(open) => {
                let inside = &value[open + 1..];
                let close = memchr(b'>', inside.as_bytes())?;
                (&inside[..close], &inside[close + 1..])
            }
            None => value.split_at(memchr(b';', value.as_bytes()).unwrap_or(value.len())),
        };
        let params = rest.trim_start().strip_prefix(';').unwrap_or("");
        Some(NameAddr { uri: uri.trim(), params })
    }

    /// The value of a parameter; empty if it has none.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        param(self.params, name)
    }

    pub fn tag(&self) -> Option<&'a str> {
        self.param("tag").filter(|tag| !tag.is_empty())
    }
}

/// The position of the first `<` outside quotes; of the last one if a quote has no end.
fn opening_bracket(value: &str) -> Option<usize> {
    let bytes = value.as_bytes();
    match memchr2(b'"', b'<', bytes) {
        Some(first) if bytes[first] == b'<' => Some(first),
        Some(_) => {
            let mut scan = Scan::default();
            let outside = bytes.iter().position(|byte| {
                scan.is_outside(*byte);
                scan.bracketed
            });
            outside.or_else(|| memchr::memrchr(b'<', bytes).filter(|_| scan.quoted))
        }
        None => None,
    }
}

fn is_single_word(uri: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>');
    if uri.bytes().all(is_plain) {
        return true;
    }
    let ends = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>');
    !uri.contains(ends)
}

/// The number at the start of a value, before parameters and comments.
pub fn leading_number(value: &str) -> Option<u32> {
    let value = value.trim_start();
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().ok()
}

/// The value of parameter `name` in `a=1;b;c="x"`; empty if it has none.
pub fn param<'a>(params: &'a str, name: &str) -> Option<&'a str> {
    split_outside_quotes(params, b';').find_map(|param| {
        let (key, value) = match memchr(b'=', param.as_bytes()) {
            Some(equals) => (param[..equals].trim(), &param[equals + 1..]),
            None => (param, ""),
        };
        key.eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// One hop of a Via header field: `SIP/2.0/UDP host:port;branch=…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    pub transport: &'a str,
    /// Host and port as written by the sender.
    pub sent_by: &'a str,
    pub params: &'a str,
}

impl<'a> Via<'a> {
    /// Parses one hop (RFC 3261 §20.42). Blanks around the slashes are allowed.
    pub fn parse(value: &'a str) -> Option<Via<'a>> {
        let (name, rest) = value.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        let (transport, rest) = rest.trim_start().split_once(char::is_whitespace)?;
        let known = name.trim().eq_ignore_ascii_case("SIP")
            && version.trim() == "2.0"
            && !transport.contains(['/', ';']);
        let (sent_by, params) = rest.split_once(';').unwrap_or((rest, ""));
        let sent_by = sent_by.trim();
        (known && !sent_by.is_empty()).then_some(Via { transport, sent_by, params })
    }

    pub fn branch(&self) -> Option<&'a str> {
        param(self.params, "branch")
    }

    /// The port of `sent_by`.
    pub fn port(&self) -> Option<u16> {
        let (_, port) = self.sent_by.rsplit_once(':')?;
        port.trim().parse().ok().filter(|port| *port != 0)
    }

    /// Whether the response must go to the source port of the request (RFC 3581 §3).
    pub fn wants_rport(&self) -> bool {
        param(self.params, "rport").is_some()
    }

    /// The source address of the request, as seen by the server.
    pub fn received(&self) -> Option<IpAddr> {
        let text = param(self.params, "received")?;
        text.trim_matches(['[', ']']).parse().ok()
    }

    /// The source port of the request, as seen by the server (RFC 3581 §4).
    pub fn rport(&self) -> Option<u16> {
        param(self.params, "rport")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_and_brackets_do_not_separate() {
        let value = r#""Nguyen, \"A\", B" <sip:a@h;x=1,2>;tag=1, <sip:b@h> , sip:c@h"#;
        let parts: Vec<_> = split_outside_quotes(value, b',').collect();
        assert_eq!(parts, [r#""Nguyen, \"A\", B" <sip:a@h;x=1,2>;tag=1"#, "<sip:b@h>", "sip:c@h"]);
    }

    #[test]
    fn parameters_of_a_uri_without_brackets_belong_to_the_header() {
        let bare = NameAddr::parse("sip:a@h;tag=77").unwrap();
        assert_eq!((bare.uri, bare.tag()), ("sip:a@h", Some("77")));
        let bracketed = NameAddr::parse("<sip:a@h;transport=tcp>;lr ; tag = 9").unwrap();
        assert_eq!(bracketed.uri, "sip:a@h;transport=tcp");
        assert_eq!(bracketed.param("lr"), Some(""));
        assert_eq!(bracketed.tag(), Some("9"));
        assert_eq!(NameAddr::parse("\"<\" <sip:x@h>").unwrap().uri, "sip:x@h");
        assert_eq!(NameAddr::parse("<sip:x@h"), None);
        assert_eq!(NameAddr::parse("<sip:x@h SIP/2.0>"), None, "a blank would end a request line");
    }

    #[test]
    fn a_via_is_parsed_with_any_parameters_in_any_order() {
        let via = Via::parse("SIP/2.0/UDP 192.0.2.1:5060 ;rport;maddr=x;branch=z9hG4bK1").unwrap();
        assert_eq!(via.branch(), Some("z9hG4bK1"));
        assert_eq!(via.sent_by, "192.0.2.1:5060");
        assert_eq!(param(via.params, "rport"), Some(""));
        assert!(via.wants_rport());
        assert_eq!((via.rport(), via.received(), via.port()), (None, None, Some(5060)));
        let seen =
            Via::parse("SIP / 2.0 / UDP  [2001:db8::1] ; received = [2001:db8::9];rport=6000")
                .unwrap();
        assert_eq!((seen.transport, seen.sent_by), ("UDP", "[2001:db8::1]"));
        assert_eq!(seen.received(), "2001:db8::9".parse().ok());
        assert_eq!((seen.rport(), seen.port()), (Some(6000), None));
        assert_eq!(Via::parse("SIP/3.0/UDP h"), None);
        assert_eq!(Via::parse("SIP/2.0/UDP"), None);
    }
}
