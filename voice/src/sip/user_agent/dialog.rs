//! A dialog as the caller sees it (RFC 3261 §12): who is at the other end and how to reach them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::digest::Credentials;
use crate::sip::message::header::{Name, NameAddr, param};
use crate::sip::message::hop::{Hop, Transport};
use crate::sip::message::message::{Method, Request, Response};
use crate::sip::message::write::Draft;

/// What all messages of one call share.
#[derive(Debug, Clone)]
pub struct Identity {
    pub call_id: Arc<str>,
    pub from_uri: String,
    pub to_uri: String,
    pub local_tag: String,
    /// Our address as the gateway is to see it, as it is written.
    pub local: Arc<str>,
    /// Where the INVITE went.
    pub gateway: Hop,
    /// Who we are to the gateway, should it ask.
    pub credentials: Option<Arc<Credentials>>,
}

impl Identity {
    /// About how many bytes it holds outside of itself.
    pub fn bytes_held(&self) -> usize {
        self.call_id.len()
            + self.from_uri.capacity()
            + self.to_uri.capacity()
            + self.local_tag.capacity()
    }
}

/// One dialog that a 2xx opened.
#[derive(Debug)]
pub struct Dialog {
    pub remote_tag: String,
    target: String,
    /// In the order in which they are written into Route.
    routes: Vec<String>,
    next_hop: Hop,
    local_cseq: u32,
    /// Of the last request of the far end that was taken.
    remote_cseq: Option<u32>,
}

impl Dialog {
    /// The dialog that a 2xx to the INVITE with `cseq` opens (§12.1.2). Without a Contact that SIP
    /// can reach, the INVITE's own request-URI, `target`, stays.
    pub fn opened_by(answer: &Response, identity: &Identity, target: &str, cseq: u32) -> Dialog {
        let mut routes: Vec<String> = answer
            .values(Name::RecordRoute)
            .filter(|route| NameAddr::parse(route).is_some_and(|route| is_sip(route.uri)))
            .map(str::to_owned)
            .collect();
        routes.reverse();
        let contact = answer.contact().filter(|uri| is_sip(uri));
        let mut dialog = Dialog {
            remote_tag: answer.to_tag().unwrap_or_default().to_owned(),
            target: String::new(),
            routes,
            next_hop: identity.gateway,
            local_cseq: cseq,
            remote_cseq: None,
        };
        dialog.aim(contact.unwrap_or(target), identity);
        dialog
    }

    /// A 2xx confirms a dialog that a provisional answer opened (§12.1.2): its route and its far end are
    /// what the 2xx says.
    pub fn confirm(&mut self, answer: &Response, identity: &Identity, target: &str) {
        let confirmed = Dialog::opened_by(answer, identity, target, self.local_cseq);
        *self = Dialog {
            remote_cseq: self.remote_cseq,
            ..confirmed
        };
    }

    /// A request of the far end that may move it: its Contact is the target from now on (§12.2.2).
    pub fn refresh(&mut self, request: &Request, identity: &Identity) {
        if let Some(contact) = request.contact().filter(|uri| is_sip(uri)) {
            self.aim(contact, identity);
        }
    }

    /// Notes the number of a request of the far end. Whether it comes in order, or once more.
    pub fn is_in_order(&mut self, cseq: u32) -> bool {
        let in_order = self.remote_cseq.is_none_or(|last| cseq >= last);
        if in_order {
            self.remote_cseq = Some(cseq);
        }
        in_order
    }

    fn aim(&mut self, target: &str, identity: &Identity) {
        target.clone_into(&mut self.target);
        let first = self.routes.first();
        let first = first.and_then(|route| NameAddr::parse(route));
        let hop = first.map_or(self.target.as_str(), |route| route.uri);
        // A connection is the gateway's: what it is told through it, it passes on.
        self.next_hop = match identity.gateway.transport {
            Transport::Udp => literal_hop(hop).unwrap_or(identity.gateway),
            Transport::Tcp | Transport::Tls => identity.gateway,
        };
    }

    /// Where requests in this dialog are sent.
    pub fn next_hop(&self) -> Hop {
        self.next_hop
    }

    /// The ACK for the 2xx: a branch of its own, the INVITE's sequence number (§13.2.2.4).
    pub fn ack(&self, identity: &Identity, branch: &str, invite_cseq: u32) -> Draft {
        self.request(Method::Ack, invite_cseq, identity, branch)
    }

    /// The next request in this dialog.
    pub fn next_request(&mut self, method: Method, identity: &Identity, branch: &str) -> Draft {
        self.local_cseq += 1;
        self.request(method, self.local_cseq, identity, branch)
    }

    /// The request-URI of requests in this dialog. §12.2.1.1: a strict router (no lr) takes it.
    pub fn request_uri(&self) -> &str {
        let first = self.routes.first().and_then(|route| NameAddr::parse(route));
        let strict = first.filter(|route| !has_lr(route.uri));
        strict.map_or(self.target.as_str(), |route| route.uri)
    }

    /// About how many bytes it holds, itself included.
    pub fn bytes_held(&self) -> usize {
        let routes: usize = self
            .routes
            .iter()
            .map(|route| size_of::<String>() + route.capacity())
            .sum();
        size_of::<Self>() + self.remote_tag.capacity() + self.target.capacity() + routes
    }

    fn request(&self, method: Method, cseq: u32, identity: &Identity, branch: &str) -> Draft {
        let uri = self.request_uri();
        // §12.2.1.1: behind a strict router the target goes last.
        let is_strict = uri != self.target;
        let mut draft = Draft::request(method, uri);
        via(&mut draft, &identity.local, self.next_hop.transport, branch);
        for route in self.routes.iter().skip(usize::from(is_strict)) {
            draft.field("Route", route);
        }
        if is_strict {
            draft.field("Route", format_args!("<{}>", self.target));
        }
        draft.field("Max-Forwards", 70);
        draft.field(
            "From",
            format_args!("<{}>;tag={}", identity.from_uri, identity.local_tag),
        );
        match self.remote_tag.is_empty() {
            true => draft.field("To", format_args!("<{}>", identity.to_uri)),
            false => draft.field(
                "To",
                format_args!("<{}>;tag={}", identity.to_uri, self.remote_tag),
            ),
        };
        draft.field("Call-ID", &identity.call_id);
        draft.field("CSeq", format_args!("{cseq} {}", method.name()));
        draft
    }
}

/// Our hop, asking for the answer to come back to where it really came from (RFC 3581).
pub fn via(draft: &mut Draft, local: &str, transport: Transport, branch: &str) {
    let transport = transport.via_name();
    draft.field(
        "Via",
        format_args!("SIP/2.0/{transport} {local};rport;branch={branch}"),
    );
}

/// Our user part, where no gateway gives us another.
pub const USER: &str = "nexo";

/// Where we are reached within a dialog, or are registered.
pub fn contact(user: &str, local: &str, transport: Transport) -> String {
    match transport {
        Transport::Udp => format!("<sip:{user}@{local}>"),
        Transport::Tcp | Transport::Tls => format!("<sip:{user}@{local};transport={transport}>"),
    }
}

fn has_lr(uri: &str) -> bool {
    uri.split_once(';')
        .is_some_and(|(_, params)| param(params, "lr").is_some())
}

fn is_sip(uri: &str) -> bool {
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|s| s.eq_ignore_ascii_case("sip") || s.eq_ignore_ascii_case("sips"))
}

/// Where a SIP URI leads whose host is written as an IP address that can be sent to. TLS would need
/// its name too.
fn literal_hop(uri: &str) -> Option<Hop> {
    let (scheme, rest) = uri.split_once(':')?;
    let transport = match rest
        .split_once(';')
        .and_then(|(_, more)| param(more, "transport"))
    {
        None => Transport::Udp,
        Some(name) => Transport::named(name).filter(|named| *named != Transport::Tls)?,
    };
    let rest = rest.split([';', '?']).next()?;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let address = match host.parse::<SocketAddr>() {
        Ok(address) => address,
        Err(_) => {
            let ip = host.trim_start_matches('[').trim_end_matches(']');
            SocketAddr::new(ip.parse::<IpAddr>().ok()?, 5060)
        }
    };
    let is_usable = address.port() != 0 && !address.ip().is_unspecified();
    let hop = Hop { transport, address };
    (scheme.eq_ignore_ascii_case("sip") && is_usable).then_some(hop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::message::Message;

    const TARGET: &str = "sip:+84981234567@192.0.2.9:5060";

    fn identity() -> Identity {
        Identity {
            call_id: "c@nexo".into(),
            from_uri: "sip:+842471234567@192.0.2.1".into(),
            to_uri: "sip:+84981234567@192.0.2.9".into(),
            local_tag: "me".into(),
            local: "192.0.2.1:5062".into(),
            gateway: SocketAddr::from(([192, 0, 2, 9], 5060)).into(),
            credentials: None,
        }
    }

    fn answer(more: &str) -> Response {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1\r\n\
             From: <sip:x@y>;tag=me\r\nTo: <sip:z@y>;tag=you\r\nCall-ID: c@nexo\r\n\
             CSeq: 1 INVITE\r\n{more}\r\n"
        );
        match Message::parse(text.as_bytes()).unwrap() {
            Message::Response(response) => response,
            Message::Request(_) => panic!("a request"),
        }
    }

    fn text(draft: Draft) -> String {
        String::from_utf8(draft.bytes()).unwrap()
    }

    #[test]
    fn an_ack_goes_to_the_contact_with_the_invites_number() {
        let answer = answer("Contact: <sip:b@192.0.2.50:5080>\r\n");
        let mut dialog = Dialog::opened_by(&answer, &identity(), TARGET, 1);
        assert_eq!(dialog.next_hop().address, ([192, 0, 2, 50], 5080).into());
        let ack = text(dialog.ack(&identity(), "z9hG4bK2", 1));
        assert!(
            ack.starts_with("ACK sip:b@192.0.2.50:5080 SIP/2.0\r\n"),
            "{ack}"
        );
        assert!(ack.contains("CSeq: 1 ACK\r\n") && ack.contains(";tag=you\r\n"));
        let bye = text(dialog.next_request(Method::Bye, &identity(), "z9hG4bK3"));
        assert!(bye.contains("CSeq: 2 BYE\r\n"));
    }

    #[test]
    fn the_route_set_is_the_record_route_reversed() {
        let answer = answer(
            "Record-Route: <sip:192.0.2.20;lr>, <sip:192.0.2.21;lr>\r\nContact: <sip:b@host.example>\r\n",
        );
        let dialog = Dialog::opened_by(&answer, &identity(), TARGET, 1);
        assert_eq!(dialog.next_hop().address, ([192, 0, 2, 21], 5060).into());
        let ack = text(dialog.ack(&identity(), "z9hG4bK2", 1));
        assert!(ack.starts_with("ACK sip:b@host.example SIP/2.0\r\n"));
        assert!(ack.contains("Route: <sip:192.0.2.21;lr>\r\nRoute: <sip:192.0.2.20;lr>\r\n"));
    }

    #[test]
    fn a_strict_router_takes_the_request_uri_and_the_target_goes_last() {
        let answer = answer("Record-Route: <sip:192.0.2.20>\r\nContact: <sip:b@192.0.2.50>\r\n");
        let dialog = Dialog::opened_by(&answer, &identity(), TARGET, 1);
        let ack = text(dialog.ack(&identity(), "z9hG4bK2", 1));
        assert!(ack.starts_with("ACK sip:192.0.2.20 SIP/2.0\r\n"));
        assert!(ack.contains("Route: <sip:b@192.0.2.50>\r\n"));
    }

    #[test]
    fn a_missing_contact_or_a_host_name_leaves_the_gateway() {
        for more in ["", "Contact: <sip:b@host.example>\r\n", "Contact: *\r\n"] {
            let dialog = Dialog::opened_by(&answer(more), &identity(), TARGET, 1);
            assert_eq!(dialog.next_hop(), identity().gateway, "{more:?}");
        }
    }

    #[test]
    fn a_contact_that_sip_cannot_reach_leaves_the_invites_target() {
        for more in [
            "",
            "Contact: *\r\n",
            "Contact: <tel:+84981234567>\r\n",
            "Contact: <sip:a b@h>\r\n",
        ] {
            let dialog = Dialog::opened_by(&answer(more), &identity(), TARGET, 1);
            let ack = text(dialog.ack(&identity(), "z9hG4bK2", 1));
            assert!(
                ack.starts_with(&format!("ACK {TARGET} SIP/2.0\r\n")),
                "{more:?}"
            );
        }
    }

    #[test]
    fn an_address_is_read_from_any_sip_uri_that_holds_one() {
        for (uri, address) in [
            ("sip:a@192.0.2.1", Some("192.0.2.1:5060")),
            ("sip:192.0.2.1:5070;lr", Some("192.0.2.1:5070")),
            ("sip:a@[2001:db8::1]:5061", Some("[2001:db8::1]:5061")),
            ("sip:a@[2001:db8::1]", Some("[2001:db8::1]:5060")),
            ("SIP:a@192.0.2.1", Some("192.0.2.1:5060")),
            ("sip:a@host:5060", None),
            ("sip:a@192.0.2.1:0", None),
            ("sip:a@0.0.0.0:5060", None),
            ("tel:+84981234567", None),
            ("sip:a@192.0.2.1;transport=tls", None),
        ] {
            assert_eq!(
                literal_hop(uri),
                address.map(|a| a.parse::<SocketAddr>().unwrap().into()),
                "{uri}"
            );
        }
    }
}
