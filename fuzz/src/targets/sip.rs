//! One datagram as a SIP message: every accessor of requests and responses. The response to a request must be a
//! valid message of the same transaction.

use std::net::SocketAddr;

use crate::{NAMES, is_oversized};
use nexo_voice::sip::message::header::{NameAddr, Via, param};
use nexo_voice::sip::message::hop::{Hop, Transport};
use nexo_voice::sip::message::write::{Draft, response_hop};
use nexo_voice::sip::message::{Fields, Message, Request};

pub fn run(datagram: &[u8]) {
    match Message::parse(datagram) {
        Ok(Message::Request(request)) => {
            let _ = (request.method().name(), request.uri());
            read_all(&request);
            answer(&request);
        }
        Ok(Message::Response(response)) => {
            assert!((100..700).contains(&response.code()));
            let _ = response.reason();
            read_all(&response);
        }
        Err(_) => {}
    }
}

fn read_all(fields: &Fields) {
    assert!(!fields.call_id().is_empty());
    let _ = (fields.cseq(), fields.cseq_method(), fields.body());
    let _ = (fields.from_tag(), fields.to_tag(), fields.contact());
    let _ = (fields.retry_after_seconds(), fields.named("Expires"));
    for name in NAMES {
        let _ = fields.lines(name).count();
        for value in fields.values(name) {
            if let Some(address) = NameAddr::parse(value) {
                assert!(!address.uri.contains(char::is_whitespace));
                let _ = (address.tag(), address.param("expires"));
            }
            if let Some(via) = Via::parse(value) {
                let _ = (via.branch(), via.port(), via.rport(), via.received());
            }
            let _ = param(value, "q");
        }
    }
}

fn answer(request: &Request) {
    let source: SocketAddr = ([192, 0, 2, 1], 5060).into();
    for transport in Transport::ALL {
        let hop = Hop { transport, address: source };
        assert_eq!(response_hop(request, hop).address.ip(), source.ip());
    }
    let bytes = Draft::response(request, 486, "ours", source).bytes();
    if is_oversized(&bytes) {
        return;
    }
    let Ok(Message::Response(answer)) = Message::parse(&bytes) else {
        panic!("the response cannot be parsed");
    };
    assert_eq!(answer.call_id(), request.call_id());
    assert_eq!(answer.cseq(), request.cseq());
    assert_eq!(answer.from_tag(), request.from_tag());
}
