//! Writing messages: responses with the fields that RFC 3261 §8.2.6 copies, and requests field by field.

use std::fmt::Write;
use std::net::SocketAddr;

use super::header::{Name, param};
use super::hop::{Hop, Transport};
use super::{Method, Request};

/// The reason phrase of a status code (RFC 3261 §21 and its extensions).
pub fn reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        415 => "Unsupported Media Type",
        420 => "Bad Extension",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "Unknown",
    }
}

/// A message being written.
#[derive(Clone, Debug)]
pub struct Draft {
    head: String,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Draft {
    /// Starts a request with its request line.
    pub fn request(method: Method, uri: &str) -> Draft {
        Draft::start(format_args!("{} {uri} SIP/2.0\r\n", method.name()))
    }

    /// Starts a response to `request` with its Via, From, To, Call-ID and CSeq. `to_tag` is added if To has
    /// no tag, except to a 100. `source` is the source address of the request; it is written into the
    /// topmost Via (RFC 3581).
    pub fn response(request: &Request, code: u16, to_tag: &str, source: SocketAddr) -> Draft {
        let mut draft = Draft::start(format_args!("SIP/2.0 {code} {}\r\n", reason(code)));
        for (index, via) in request.values(Name::Via).enumerate() {
            match index {
                0 => draft.field("Via", with_source(via, source)),
                _ => draft.field("Via", via),
            };
        }
        draft.copy(request, Name::From, "From");
        let to = request.value(Name::To).unwrap_or_default();
        match request.to_tag().is_some() || code == 100 || to_tag.is_empty() {
            true => draft.field("To", to),
            false => draft.field("To", format_args!("{to};tag={to_tag}")),
        };
        draft.copy(request, Name::CallId, "Call-ID");
        draft.copy(request, Name::CSeq, "CSeq");
        draft
    }

    fn start(line: std::fmt::Arguments<'_>) -> Draft {
        let mut head = String::with_capacity(768);
        // Writing to a String cannot fail.
        let _ = head.write_fmt(line);
        Draft { head, content_type: "", body: Vec::new() }
    }

    /// Adds a header field.
    pub fn field(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Draft {
        self.head.push_str(name);
        self.head.push_str(": ");
        let _ = write!(self.head, "{value}");
        self.head.push_str("\r\n");
        self
    }

    /// Copies the request's fields with this name, under the name `written`.
    pub fn copy(&mut self, request: &Request, name: Name, written: &str) -> &mut Draft {
        for value in request.lines(name) {
            self.field(written, value);
        }
        self
    }

    /// Sets the body.
    pub fn body(&mut self, content_type: &'static str, body: Vec<u8>) -> &mut Draft {
        (self.content_type, self.body) = (content_type, body);
        self
    }

    /// Finishes the message.
    pub fn bytes(mut self) -> Vec<u8> {
        if !self.content_type.is_empty() {
            let content_type = self.content_type;
            self.field("Content-Type", content_type);
        }
        let length = self.body.len();
        self.field("Content-Length", length);
        self.head.push_str("\r\n");
        let mut bytes = self.head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The Via with the source address of its request.
fn with_source(via: &str, source: SocketAddr) -> String {
    let (hop, params) = via.split_once(';').unwrap_or((via, ""));
    let wants_port = param(params, "rport").is_some();
    let mut written = hop.trim_end().to_owned();
    for part in params.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        let key = part.split('=').next().unwrap_or_default().trim();
        if !key.eq_ignore_ascii_case("rport") && !key.eq_ignore_ascii_case("received") {
            let _ = write!(written, ";{part}");
        }
    }
    let _ = write!(written, ";received={}", source.ip().to_canonical());
    if wants_port {
        let _ = write!(written, ";rport={}", source.port());
    }
    written
}

/// The destination of the response to `request` (RFC 3261 §18.2.2, RFC 3581 §4): its source address, with
/// the port of its Via unless it has `rport`.
pub fn response_hop(request: &Request, source: Hop) -> Hop {
    let via = request.via();
    match (source.transport, via) {
        // The response goes over the connection of the request.
        (Transport::Tcp | Transport::Tls, _) => source,
        (Transport::Udp, Some(via)) if !via.wants_rport() => {
            SocketAddr::new(source.address.ip(), via.port().unwrap_or(5060)).into()
        }
        (Transport::Udp, Some(_) | None) => source,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Message;
    use super::*;

    fn request(via: &str) -> Request {
        let text = format!(
            "OPTIONS sip:a@h SIP/2.0\r\nVia: {via}\r\nVia: SIP/2.0/UDP p2;branch=2\r\n\
             From: <sip:x@y>;tag=f\r\nTo: <sip:a@h>\r\nCall-ID: c\r\nCSeq: 3 OPTIONS\r\n\r\n"
        );
        match Message::parse(text.as_bytes()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response"),
        }
    }

    #[test]
    fn a_response_copies_the_mandatory_fields_and_adds_the_source() {
        let request = request("SIP/2.0/UDP 192.0.2.1:5062;rport;branch=z9hG4bK1");
        let source: SocketAddr = ([198, 51, 100, 7], 6000).into();
        let bytes = Draft::response(&request, 200, "t1", source).bytes();
        let Message::Response(response) = Message::parse(&bytes).unwrap() else {
            panic!("a request");
        };
        let via: Vec<_> = response.lines(Name::Via).collect();
        assert_eq!(
            via[0],
            "SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1;received=198.51.100.7;rport=6000"
        );
        assert_eq!(via[1], "SIP/2.0/UDP p2;branch=2");
        assert_eq!(response.to_tag(), Some("t1"));
        assert_eq!(response.cseq(), 3);
        assert_eq!(response_hop(&request, source.into()), source.into());
    }

    #[test]
    fn without_rport_the_response_goes_to_the_port_of_the_via() {
        let source: SocketAddr = ([198, 51, 100, 7], 6000).into();
        let to = |via| response_hop(&request(via), source.into()).address.port();
        assert_eq!(to("SIP/2.0/UDP 192.0.2.1:5062;branch=1"), 5062);
        assert_eq!(to("SIP/2.0/UDP 192.0.2.1;branch=1"), 5060);
        assert_eq!(to("SIP/2.0/UDP [2001:db8::1]:5063;branch=1"), 5063);
        assert_eq!(to("SIP/2.0/UDP 192.0.2.1:0;branch=1"), 5060);
    }

    #[test]
    fn a_100_gets_no_tag() {
        let request = request("SIP/2.0/UDP h;branch=1");
        let source: SocketAddr = ([127, 0, 0, 1], 1).into();
        let bytes = Draft::response(&request, 100, "t1", source).bytes();
        assert!(!String::from_utf8(bytes).unwrap().contains("t1"));
    }
}
