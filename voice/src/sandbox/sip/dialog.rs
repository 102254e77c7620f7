//! Reads the caller's requests, and builds the callee's own messages.

use std::net::{IpAddr, SocketAddr};

use rand::RngExt;
use rand::rngs::StdRng;

use crate::sip::message::header::{Name, NameAddr};
use crate::sip::message::write::{Draft, response_hop};
use crate::sip::message::{Method, Request};
use crate::sip::sdp;
use crate::sip::sdp::Audio;

const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS";
const SIP_PORT: u16 = 5060;
/// The first sequence number of the callee, which sends only one request.
const BYE_CSEQ: u32 = 1;

/// The callee's leg of one call: everything needed to build its messages.
pub(crate) struct CalleeLeg {
    invite: Request,
    source: SocketAddr,
    /// The callee's own address as the caller sees it.
    local: SocketAddr,
    tag: String,
}

impl CalleeLeg {
    pub fn new(invite: Request, source: SocketAddr, local: SocketAddr, tag: String) -> CalleeLeg {
        CalleeLeg { invite, source, local, tag }
    }

    /// The callee's tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    pub fn invite_cseq(&self) -> u32 {
        self.invite.cseq()
    }

    /// The address to which responses to the INVITE are sent.
    pub fn reply_to(&self) -> SocketAddr {
        response_hop(&self.invite, self.source.into()).address
    }

    /// Builds a response to the INVITE without a body.
    pub fn response(&self, code: u16, retry_after_seconds: Option<u32>) -> Vec<u8> {
        let mut draft = self.draft(code);
        if let Some(seconds) = retry_after_seconds {
            draft.field("Retry-After", seconds);
        }
        draft.bytes()
    }

    /// Builds the 200 with the SDP answer: `audio` is the address for the caller's audio.
    pub fn answer(&self, audio: &Audio, session: u64) -> Vec<u8> {
        let body = sdp::write(audio, session).into_bytes();
        let mut draft = self.draft(200);
        draft.field("Allow", ALLOW).body(sdp::CONTENT_TYPE, body);
        draft.bytes()
    }

    fn draft(&self, code: u16) -> Draft {
        let mut draft = Draft::response(&self.invite, code, &self.tag, self.source);
        // The header fields of a response that establishes a dialog (RFC 3261 §12.1.1).
        if (101..300).contains(&code) {
            draft
                .copy(&self.invite, Name::RecordRoute, "Record-Route")
                .field("Contact", format_args!("<sip:{}>", self.local));
        }
        draft
    }

    /// Builds a BYE with a branch from `token` (RFC 3261 §12.2.1.1).
    pub fn bye(&self, token: &str) -> Vec<u8> {
        let mut draft = Draft::request(Method::Bye, self.target());
        let via = format_args!("SIP/2.0/UDP {};rport;branch=z9hG4bK{token}", self.local);
        let own = self.invite.value(Name::To).unwrap_or_default();
        draft
            .field("Via", via)
            .field("Max-Forwards", 70)
            .copy(&self.invite, Name::RecordRoute, "Route")
            .field("From", format_args!("{own};tag={}", self.tag))
            .copy(&self.invite, Name::From, "To");
        draft.field("Call-ID", self.invite.call_id());
        draft.field("CSeq", format_args!("{BYE_CSEQ} BYE"));
        draft.bytes()
    }

    /// The address for the BYE: the first route or the caller's contact if it is an IP address,
    /// otherwise the source of the INVITE.
    pub fn bye_to(&self) -> SocketAddr {
        let route = self.invite.values(Name::RecordRoute).next();
        let route = route.and_then(NameAddr::parse).map(|route| route.uri);
        address_of(route.unwrap_or(self.target())).unwrap_or(self.source)
    }

    fn target(&self) -> &str {
        let from = self.invite.from().map_or("", |from| from.uri);
        self.invite.contact().unwrap_or(from)
    }
}

/// Builds a response to a request other than a call's INVITE. `tag` is the callee's.
pub(crate) fn response_to(request: &Request, code: u16, tag: &str, source: SocketAddr) -> Vec<u8> {
    let mut draft = Draft::response(request, code, tag, source);
    if code == 405 || request.method() == Method::Options {
        draft.field("Allow", ALLOW).field("Accept", sdp::CONTENT_TYPE);
    }
    draft.bytes()
}

/// Generates a tag or a branch token.
pub(crate) fn new_tag(random: &mut StdRng) -> String {
    format!("{:016x}", random.random::<u64>())
}

/// The dialled number, most likely first: the user parts of the request URI and of the To.
pub(crate) fn dialled(request: &Request) -> impl Iterator<Item = String> {
    let to = request.to().map(|to| to.uri);
    [Some(request.uri()), to].into_iter().flatten().filter_map(user_of)
}

/// The user part of `sip:user:password@host` or `tel:number`; `+` may be escaped.
fn user_of(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let user = match rest.split_once('@') {
        Some((user, _)) => user.split(':').next()?,
        None if scheme.eq_ignore_ascii_case("tel") => rest,
        None => return None,
    };
    Some(user.replace("%2B", "+").replace("%2b", "+"))
}

/// The address in a SIP URI; `None` if its host is a name.
fn address_of(uri: &str) -> Option<SocketAddr> {
    let (_, rest) = uri.split_once(':')?;
    let host = rest.split(['?', ';']).next()?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let ip: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(ip, SIP_PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_part_of_every_kind_of_uri_is_found() {
        for (uri, user) in [
            ("sip:+84981234567@127.0.0.1:5060", Some("+84981234567")),
            ("sip:%2B84981234567@h;user=phone", Some("+84981234567")),
            ("sips:0981234567:secret@h", Some("0981234567")),
            ("tel:+84981234567;phone-context=vn", Some("+84981234567;phone-context=vn")),
            ("sip:127.0.0.1", None),
            ("nonsense", None),
        ] {
            assert_eq!(user_of(uri).as_deref(), user, "{uri}");
        }
    }

    #[test]
    fn the_address_of_a_contact_is_found_unless_its_host_is_a_name() {
        for (uri, address) in [
            ("sip:gateway@192.0.2.1:5062;transport=udp", Some("192.0.2.1:5062")),
            ("sip:192.0.2.1;lr", Some("192.0.2.1:5060")),
            ("sip:a@[2001:db8::1]:5070", Some("[2001:db8::1]:5070")),
            ("sip:a@[2001:db8::1]", Some("[2001:db8::1]:5060")),
            ("sip:a@host.example:5060", None),
            ("", None),
        ] {
            let expected = address.map(|a| a.parse().unwrap());
            assert_eq!(address_of(uri), expected, "{uri}");
        }
    }
}
