//! A dialog on the caller's side (RFC 3261 §12): the remote tag, target, route set and sequence numbers.

use std::sync::Arc;

use super::digest::Credentials;
use super::next_hop::NextHop;
use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::header::{Name, NameAddr, param};
use crate::sip::message::hop::{Hop, Transport};
use crate::sip::message::write::Draft;
use crate::sip::message::{Method, Request, Response};

/// The values that all our requests of one call share.
#[derive(Debug, Clone)]
pub struct Identity {
    pub call_id: Arc<str>,
    pub from_uri: String,
    pub to_uri: String,
    pub local_tag: String,
    /// Our address, as the gateway sees it, as text.
    pub local: Arc<str>,
    /// The destination of the INVITE.
    pub gateway: Hop,
    /// Our credentials, in case the gateway challenges a request.
    pub credentials: Option<Arc<Credentials>>,
}

impl Identity {
    /// Its approximate heap memory in bytes.
    pub fn bytes_held(&self) -> usize {
        self.call_id.len()
            + self.from_uri.capacity()
            + self.to_uri.capacity()
            + self.local_tag.capacity()
    }
}

/// One dialog.
#[derive(Debug)]
pub struct Dialog {
    pub remote_tag: String,
    /// The remote target URI.
    target: String,
    /// The route set, in the order of the Route fields.
    routes: Vec<String>,
    next_hop: NextHop,
    local_cseq: u32,
    /// The number of the last request accepted from the far end.
    remote_cseq: Option<u32>,
}

impl Dialog {
    /// The dialog that a response to the INVITE with `cseq` opens (§12.1.2). `target`, the request-URI of the
    /// INVITE, is used if the response has no Contact with a SIP URI.
    pub fn opened_by(response: &Response, identity: &Identity, target: &str, cseq: u32) -> Dialog {
        let mut routes: Vec<String> = response
            .values(Name::RecordRoute)
            .filter(|route| NameAddr::parse(route).is_some_and(|route| is_sip(route.uri)))
            .map(str::to_owned)
            .collect();
        routes.reverse();
        let contact = response.contact().filter(|uri| is_sip(uri));
        let mut dialog = Dialog {
            remote_tag: response.to_tag().unwrap_or_default().to_owned(),
            target: String::new(),
            routes,
            next_hop: identity.gateway.into(),
            local_cseq: cseq,
            remote_cseq: None,
        };
        dialog.set_target(contact.unwrap_or(target), identity);
        dialog
    }

    /// Confirms a dialog that a provisional response opened. Route set and target are taken from the 2xx
    /// (§12.1.2).
    pub fn confirm(&mut self, response: &Response, identity: &Identity, target: &str) {
        let confirmed = Dialog::opened_by(response, identity, target, self.local_cseq);
        let next_hop = confirmed.next_hop.or_known(&self.next_hop);
        *self = Dialog { remote_cseq: self.remote_cseq, next_hop, ..confirmed };
    }

    /// Sets the target to the Contact of a target refresh request (§12.2.2).
    pub fn refresh_target(&mut self, request: &Request, identity: &Identity) {
        if let Some(contact) = request.contact().filter(|uri| is_sip(uri)) {
            self.set_target(contact, identity);
        }
    }

    /// Takes the number of a request of the far end. Returns `false` if it is lower than the last one
    /// (§12.2.2).
    pub fn accept_cseq(&mut self, cseq: u32) -> bool {
        let in_order = self.remote_cseq.is_none_or(|last| cseq >= last);
        if in_order {
            self.remote_cseq = Some(cseq);
        }
        in_order
    }

    /// Whether the last request accepted from the far end has this number: a repetition.
    pub fn has_seen(&self, cseq: u32) -> bool {
        self.remote_cseq == Some(cseq)
    }

    fn set_target(&mut self, target: &str, identity: &Identity) {
        target.clone_into(&mut self.target);
        let first = self.routes.first();
        let first = first.and_then(|route| NameAddr::parse(route));
        let uri = first.map_or(self.target.as_str(), |route| route.uri);
        let next_hop = NextHop::of_uri(uri, identity.gateway, &identity.to_uri);
        self.next_hop = next_hop.or_known(&self.next_hop);
    }

    /// The destination of requests in this dialog.
    pub fn next_hop(&self) -> &NextHop {
        &self.next_hop
    }

    /// Takes the targets of a host name.
    pub fn resolve(&mut self, name: &GatewayUri, targets: &[Hop]) {
        self.next_hop.resolve(name, targets);
    }

    /// The ACK for the 2xx: with its own branch and the sequence number of the INVITE (§13.2.2.4).
    pub fn ack(&self, identity: &Identity, branch: &str, invite_cseq: u32) -> Draft {
        self.request(Method::Ack, invite_cseq, identity, branch)
    }

    /// The next request in this dialog.
    pub fn next_request(&mut self, method: Method, identity: &Identity, branch: &str) -> Draft {
        self.local_cseq += 1;
        self.request(method, self.local_cseq, identity, branch)
    }

    /// The request-URI of requests in this dialog: the target, or a strict router (without `lr`) if it is the
    /// first route (§12.2.1.1).
    pub fn request_uri(&self) -> &str {
        let first = self.routes.first().and_then(|route| NameAddr::parse(route));
        let strict = first.filter(|route| !has_lr(route.uri));
        strict.map_or(self.target.as_str(), |route| route.uri)
    }

    /// Its approximate memory in bytes, itself included.
    pub fn bytes_held(&self) -> usize {
        let routes: usize =
            self.routes.iter().map(|route| size_of::<String>() + route.capacity()).sum();
        size_of::<Self>() + self.remote_tag.capacity() + self.target.capacity() + routes
    }

    fn request(&self, method: Method, cseq: u32, identity: &Identity, branch: &str) -> Draft {
        let uri = self.request_uri();
        // §12.2.1.1: with a strict router, the target is the last route.
        let is_strict = uri != self.target;
        let mut draft = Draft::request(method, uri);
        via(&mut draft, &identity.local, self.next_hop.hop().transport, branch);
        for route in self.routes.iter().skip(usize::from(is_strict)) {
            draft.field("Route", route);
        }
        if is_strict {
            draft.field("Route", format_args!("<{}>", self.target));
        }
        draft.field("Max-Forwards", 70);
        draft.field("From", format_args!("<{}>;tag={}", identity.from_uri, identity.local_tag));
        match self.remote_tag.is_empty() {
            true => draft.field("To", format_args!("<{}>", identity.to_uri)),
            false => {
                draft.field("To", format_args!("<{}>;tag={}", identity.to_uri, self.remote_tag))
            }
        };
        draft.field("Call-ID", &identity.call_id);
        draft.field("CSeq", format_args!("{cseq} {}", method.name()));
        draft
    }
}

/// Writes our Via, with `rport` (RFC 3581).
pub fn via(draft: &mut Draft, local: &str, transport: Transport, branch: &str) {
    let transport = transport.via_name();
    draft.field("Via", format_args!("SIP/2.0/{transport} {local};rport;branch={branch}"));
}

/// The user part of our URIs, unless a gateway assigns another.
pub const DEFAULT_USER: &str = "nexo";

/// The value of our Contact, in a dialog or a registration.
pub fn contact(user: &str, local: &str, transport: Transport) -> String {
    match transport {
        Transport::Udp => format!("<sip:{user}@{local}>"),
        Transport::Tcp | Transport::Tls => format!("<sip:{user}@{local};transport={transport}>"),
    }
}

fn has_lr(uri: &str) -> bool {
    uri.split_once(';').is_some_and(|(_, params)| param(params, "lr").is_some())
}

fn is_sip(uri: &str) -> bool {
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|s| s.eq_ignore_ascii_case("sip") || s.eq_ignore_ascii_case("sips"))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::sip::message::Message;

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

    fn response(more: &str) -> Response {
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
    fn an_ack_is_sent_to_the_contact_with_the_invites_number() {
        let response = response("Contact: <sip:b@192.0.2.50:5080>\r\n");
        let mut dialog = Dialog::opened_by(&response, &identity(), TARGET, 1);
        assert_eq!(dialog.next_hop().hop().address, ([192, 0, 2, 50], 5080).into());
        let ack = text(dialog.ack(&identity(), "z9hG4bK2", 1));
        assert!(ack.starts_with("ACK sip:b@192.0.2.50:5080 SIP/2.0\r\n"), "{ack}");
        assert!(ack.contains("CSeq: 1 ACK\r\n") && ack.contains(";tag=you\r\n"));
        let bye = text(dialog.next_request(Method::Bye, &identity(), "z9hG4bK3"));
        assert!(bye.contains("CSeq: 2 BYE\r\n"));
    }

    #[test]
    fn the_route_set_is_the_reversed_record_route() {
        let response = response(
            "Record-Route: <sip:192.0.2.20;lr>, <sip:192.0.2.21;lr>\r\nContact: <sip:b@host.example>\r\n",
        );
        let dialog = Dialog::opened_by(&response, &identity(), TARGET, 1);
        assert_eq!(dialog.next_hop().hop().address, ([192, 0, 2, 21], 5060).into());
        let ack = text(dialog.ack(&identity(), "z9hG4bK2", 1));
        assert!(ack.starts_with("ACK sip:b@host.example SIP/2.0\r\n"));
        assert!(ack.contains("Route: <sip:192.0.2.21;lr>\r\nRoute: <sip:192.0.2.20;lr>\r\n"));
    }

    #[test]
    fn with_a_strict_router_the_target_is_the_last_route() {
        let response =
            response("Record-Route: <sip:192.0.2.20>\r\nContact: <sip:b@192.0.2.50>\r\n");
        let dialog = Dialog::opened_by(&response, &identity(), TARGET, 1);
        let ack = text(dialog.ack(&identity(), "z9hG4bK2", 1));
        assert!(ack.starts_with("ACK sip:192.0.2.20 SIP/2.0\r\n"));
        assert!(ack.contains("Route: <sip:b@192.0.2.50>\r\n"));
    }

    #[test]
    fn without_a_contact_requests_go_to_the_gateway() {
        for more in ["", "Contact: *\r\n"] {
            let dialog = Dialog::opened_by(&response(more), &identity(), TARGET, 1);
            assert_eq!(*dialog.next_hop(), identity().gateway.into(), "{more:?}");
        }
    }

    #[test]
    fn the_name_of_the_first_route_is_resolved_else_that_of_the_contact() {
        for (more, name) in [
            ("Contact: <sip:b@host.example>\r\n", Some("host.example")),
            (
                "Record-Route: <sip:192.0.2.20;lr>, <sip:edge.example;lr>\r\n\
                 Contact: <sip:b@host.example>\r\n",
                Some("edge.example"),
            ),
            ("Record-Route: <sip:192.0.2.20;lr>\r\nContact: <sip:b@host.example>\r\n", None),
        ] {
            let dialog = Dialog::opened_by(&response(more), &identity(), TARGET, 1);
            let unresolved = dialog.next_hop().unresolved();
            assert_eq!(unresolved.map(|name| name.host.as_str()), name, "{more:?}");
        }
    }

    #[test]
    fn without_a_sip_uri_in_contact_the_invites_target_is_used() {
        for more in
            ["", "Contact: *\r\n", "Contact: <tel:+84981234567>\r\n", "Contact: <sip:a b@h>\r\n"]
        {
            let dialog = Dialog::opened_by(&response(more), &identity(), TARGET, 1);
            let ack = text(dialog.ack(&identity(), "z9hG4bK2", 1));
            assert!(ack.starts_with(&format!("ACK {TARGET} SIP/2.0\r\n")), "{more:?}");
        }
    }
}
