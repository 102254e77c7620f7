//! The torture test messages of RFC 4475: how the parser reads each, and that none of them, sent by the
//! gateway during a call, disturbs the call.
//!
//! The files of `messages/` are the messages, octet for octet, each with its name from the RFC.

mod expected;
mod in_a_call;
mod variants;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use expected::MESSAGES;
use nexo_voice::audio::g711::Codec;
use nexo_voice::sip::message::header::{Name, NameAddr, Via};
use nexo_voice::sip::message::{Fields, Message, Request, Response};
use nexo_voice::sip::sdp;

fn directory() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/voice/torture/messages"].iter().collect()
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(name).with_extension("sip")).unwrap()
}

fn request(name: &str) -> Request {
    match Message::parse(&bytes(name)).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("{name} is a response"),
    }
}

fn response(name: &str) -> Response {
    match Message::parse(&bytes(name)).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("{name} is a request"),
    }
}

/// The first line, the Call-ID, the CSeq, the tags and the topmost branch.
fn outline(message: &Message) -> String {
    let (start, fields): (String, &Fields) = match message {
        Message::Request(request) => {
            let start = format!("{} {}", request.method().name(), request.uri());
            (start, request)
        }
        Message::Response(response) => {
            let start = format!("{} {}", response.code(), response.reason());
            (start.trim_end().to_owned(), response)
        }
    };
    format!(
        "{start} | {} | {} {} | from {} to {} | {}",
        fields.call_id(),
        fields.cseq(),
        fields.cseq_method().name(),
        fields.from_tag().unwrap_or("-"),
        fields.to_tag().unwrap_or("-"),
        fields.via().unwrap().branch().unwrap_or("-"),
    )
}

#[test]
fn every_message_is_parsed_or_refused_as_expected() {
    for (section, name, outcome) in MESSAGES {
        let read = Message::parse(&bytes(name)).map(|message| outline(&message));
        let outcome = outcome.map(str::to_owned);
        assert_eq!(read, outcome, "{name}, RFC 4475 §{section}");
    }
}

#[test]
fn the_table_lists_every_file_once() {
    let files: BTreeSet<_> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "sip"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let listed: BTreeSet<_> = MESSAGES.map(|(_, name, _)| name.to_owned()).into();
    assert_eq!(files, listed);
    assert_eq!(listed.len(), MESSAGES.len());
}

/// The URIs of all contacts.
fn contacts(request: &Request) -> Vec<&str> {
    let contacts = request.values(Name::Contact);
    contacts.map(|contact| NameAddr::parse(contact).unwrap().uri).collect()
}

#[test]
fn the_tortuous_invite_is_parsed_completely() {
    let request = request("wsinv");
    let hops: Vec<_> = request
        .values(Name::Via)
        .map(|via| Via::parse(via).unwrap())
        .map(|via| (via.transport, via.sent_by, via.branch().unwrap()))
        .collect();
    assert_eq!(
        hops,
        [
            ("UDP", "192.0.2.2", "390skdjuw"),
            ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
            ("UDP", "192.168.255.111", "z9hG4bK30239"),
        ]
    );
    assert_eq!(request.to().unwrap().uri, "sip:vivekg@chair-dnrc.example.com");
    assert_eq!(request.from().unwrap().uri, "sip:jdrosen@example.com");
    assert_eq!(request.value(Name::MaxForwards), Some("0068"));
    assert_eq!(
        request.value(Name::Route),
        Some("<sip:services.example.com;lr;unknownwith=value;unknown-no-value>")
    );
    assert_eq!(request.contact(), Some("sip:jdrosen@example.com"));
    let contact = NameAddr::parse(request.value(Name::Contact).unwrap()).unwrap();
    assert_eq!(contact.param("newparam"), Some("newvalue"));
    assert_eq!(contact.param("secondparam"), Some(""));
    assert_eq!(contact.param("q"), Some("0.33"));
    assert_eq!(request.named("s"), Some(""));
    assert_eq!(request.named("UnknownHeaderWithUnusualValue"), Some(";;,,;;,;"));
}

#[test]
fn unusual_characters_are_preserved() {
    let unusual = request("intmeth");
    assert_eq!(unusual.named("extensionHeader-!.%*+_`'~"), Some("\u{feff}大停電"));
    let from = unusual.from().unwrap();
    assert_eq!(from.uri, "sip:mundane@example.com");
    assert_eq!(from.param("fromParam''~+*_!.-%"), Some("работающий"));
    assert_eq!(
        unusual.to().unwrap().uri,
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com"
    );
    assert_eq!(
        contacts(&request("esc01")),
        ["sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31"]
    );
    assert_eq!(
        contacts(&request("escnull")),
        ["sip:%00@host5.example.com", "sip:%00%00@host5.example.com"]
    );
    let escaped = request("esc02");
    assert_eq!(
        contacts(&escaped),
        ["sip:alias1@host1.example.com", "sip:alias3@host3.example.com"],
        "C%6Fntact is not a Contact field"
    );
    assert_eq!(escaped.named("c%6fntact"), Some("<sip:alias2@host2.example.com>"));
    assert_eq!(response("unreason").reason(), "= 2**3 * 5**2 но сто девяносто девять - простое");
    assert_eq!(response("noreason").reason(), "");
}

#[test]
fn every_hop_of_a_long_or_mixed_path_is_parsed() {
    let long = request("longreq");
    let hops: Vec<_> = long.values(Name::Via).map(|via| Via::parse(via).unwrap()).collect();
    assert_eq!(hops.len(), 34);
    assert_eq!(hops[32].sent_by, "sip1.example.com");
    let last = hops[33];
    assert_eq!(last.sent_by, "host.example.com");
    assert_eq!(last.received(), Some(IpAddr::from([192, 0, 2, 5])));
    let branch = format!("very{}branchvalue", "long".repeat(50));
    assert_eq!(last.branch(), Some(branch.as_str()));
    let mixed = request("transports");
    let transports: Vec<_> =
        mixed.values(Name::Via).map(|via| Via::parse(via).unwrap().transport).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

#[test]
fn parameters_of_a_bare_contact_belong_to_the_field_and_in_brackets_to_the_uri() {
    assert_eq!(contacts(&request("cparam01")), ["sip:+19725552222@gw1.example.net"]);
    assert_eq!(contacts(&request("cparam02")), ["sip:+19725552222@gw1.example.net;unknownparam"]);
    assert_eq!(
        contacts(&request("regescrt")),
        ["sip:user@example.com?Route=%3Csip:sip.example.com%3E"]
    );
}

#[test]
fn bodies_have_their_declared_length() {
    let lengths =
        [("dblreq", 0), ("mpart01", 553), ("invut", 40), ("mismatch02", 138), ("inv2543", 105)];
    for (name, length) in lengths {
        assert_eq!(request(name).body().len(), length, "{name}");
    }
    for (name, from) in [
        ("wsinv", "192.0.2.4"),
        ("longreq", "192.0.2.1"),
        ("sdp01", "192.0.2.5"),
        ("inv2543", "192.0.2.5"),
    ] {
        let audio = sdp::read(request(name).body()).unwrap();
        assert_eq!(audio.rtp, format!("{from}:49217").parse().unwrap());
        assert_eq!(audio.codecs, [Codec::Pcmu], "{name}");
    }
}
