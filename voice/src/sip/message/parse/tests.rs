use super::*;
use crate::sip::message::header::{NameAddr, Via};
use proptest::prelude::*;

fn request(text: &str) -> Result<Request, ParseError> {
    match Message::parse(text.replace('\n', "\r\n").as_bytes())? {
        Message::Request(request) => Ok(request),
        Message::Response(_) => panic!("a response"),
    }
}

const INVITE: &str = "INVITE sip:+84981234567@192.0.2.9 SIP/2.0\n\
    v: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa, SIP/2.0/TCP proxy\n\
    Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKb\n\
    f: \"A, \\\"B\\\"\" <sip:a@192.0.2.1>\n ;tag=from1\n\
    TO: sip:b@192.0.2.9;tag=to1\n\
    I: abc@nexo\n\
    CSeq: 7\tINVITE\n\
    m: <sip:a@192.0.2.1:5062;x=1>;expires=3\n\
    X-Thing : one\n\
    l: 4\n\nbody";

#[test]
fn compact_folded_and_listed_fields_are_parsed() {
    let request = request(INVITE).unwrap();
    assert_eq!(request.method(), Method::Invite);
    assert_eq!(request.uri(), "sip:+84981234567@192.0.2.9");
    assert_eq!(request.from_tag(), Some("from1"));
    assert_eq!(request.to_tag(), Some("to1"));
    assert_eq!(request.call_id(), "abc@nexo");
    assert_eq!(request.cseq(), 7);
    assert_eq!(request.contact(), Some("sip:a@192.0.2.1:5062;x=1"));
    assert_eq!(request.via().unwrap().branch(), Some("z9hG4bKa"));
    assert_eq!(request.values(Name::Via).count(), 3);
    assert_eq!(request.named("x-thing"), Some("one"));
    assert_eq!(request.body(), b"body");
}

#[test]
fn blanks_allowed_by_the_grammar_change_nothing() {
    // All variants of RFC 4475 §3.1.1.1 in one message.
    let text = "BYE sip:b@192.0.2.9;unknownparam SIP/2.0\n\
        TO :\n sip:b@192.0.2.9 ;   tag    = 19n\n\
        from   : \"J Rosenberg \\\\\\\"\"       <sip:a@192.0.2.1>\n  ;\n  tag = 98a\n\
        MaX-fOrWaRdS: 0068\n\
        Call-ID: ws@192.0.2.1\n\
        cseq: 0009\n  BYE\n\
        Via  : SIP  /   2.0\n /UDP\n    192.0.2.1;branch=390skdjuw\n\
        v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n  branch  =   z9hG4bK9ik  ,\n \
        SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30\n\
        NewFangledHeader:   newfangled value\n continued newfangled value\n\
        Unknown: ;;,,;;,;\n\
        m:\"Quoted string \\\"\\\"\" <sip:a@192.0.2.1> ; newparam =\n newvalue ;\n secondparam ; q = 0.33\n\n";
    let request = request(text).unwrap();
    assert_eq!(request.to_tag(), Some("19n"));
    assert_eq!(request.from_tag(), Some("98a"));
    assert_eq!((request.cseq(), request.cseq_method()), (9, Method::Bye));
    assert_eq!(request.contact(), Some("sip:a@192.0.2.1"));
    let branches: Vec<_> =
        request.values(Name::Via).filter_map(Via::parse).filter_map(|via| via.branch()).collect();
    assert_eq!(branches, ["390skdjuw", "z9hG4bK9ik", "z9hG4bK30"]);
    let long = "newfangled value   continued newfangled value";
    assert_eq!(request.named("newfangledheader"), Some(long));
}

#[test]
fn a_message_beyond_the_limits_is_rejected() {
    let with = |count: usize| INVITE.replace("X-Thing : one\n", &"X: 1\n".repeat(count));
    assert!(request(&with(MAX_HEADERS - 8)).is_ok());
    let error = request(&with(MAX_HEADERS + 1)).unwrap_err();
    assert_eq!(error, ParseError::TooManyHeaders);
    let error = Message::parse(&vec![b'A'; MAX_BYTES + 1]).unwrap_err();
    assert_eq!(error, ParseError::TooLarge);
}

#[test]
fn a_status_line_needs_a_code_and_may_lack_a_reason() {
    let response = |line: &str| {
        let text = INVITE.split_once('\n').unwrap().1;
        let text = format!("{line}\n{text}").replace('\n', "\r\n");
        match Message::parse(text.as_bytes()) {
            Ok(Message::Response(r)) => Ok((r.code(), r.reason().to_owned())),
            Ok(Message::Request(_)) => panic!("a request"),
            Err(error) => Err(error),
        }
    };
    assert_eq!(response("SIP/2.0 180 Ringing"), Ok((180, "Ringing".into())));
    assert_eq!(response("SIP/2.0 200"), Ok((200, String::new())));
    assert_eq!(response("sip/2.0 486 "), Ok((486, String::new())));
    assert_eq!(response("SIP/2.0 200 O\tK"), Ok((200, "O".into())));
    for line in ["SIP/2.0 20 OK", "SIP/2.0 2000 OK", "SIP/2.0 099 X", "SIP/2.0 +20 X"] {
        assert_eq!(response(line), Err(ParseError::StartLine), "{line}");
    }
}

#[test]
fn a_body_has_the_length_of_content_length_as_far_as_that_is_usable() {
    for (length, body, odd_lines) in [
        ("l: 4", "body", 0),
        ("l: 3", "bod", 0),
        ("l: 0", "", 0),
        ("l: 4\nContent-Length: 4", "body", 0),
        ("X: 1", "body", 0),
        ("l: 5", "body", 1),
        ("l: -4", "body", 1),
        ("l: four", "body", 1),
        ("l:", "body", 1),
        ("l: 4\nContent-Length: 3", "body", 1),
    ] {
        let request = request(&INVITE.replace("l: 4", length)).unwrap();
        assert_eq!(request.body(), body.as_bytes(), "{length}");
        assert_eq!(request.odd_lines(), odd_lines, "{length}");
    }
}

#[test]
fn a_missing_or_repeated_mandatory_field_is_an_error() {
    for (from, to) in [
        ("I: abc@nexo\n", ""),
        ("CSeq: 7\tINVITE", "CSeq: 7"),
        ("CSeq: 7\tINVITE", "CSeq: 99999999999 INVITE"),
        ("CSeq: 7\tINVITE", "CSeq: 7 BYE"),
        ("TO: sip:b@192.0.2.9;tag=to1\n", "To: <sip:b\n"),
        ("TO: sip:b@192.0.2.9;tag=to1\n", "To: ;tag=to1\n"),
        ("I: abc@nexo", "I: abc@nexo\ni: again"),
    ] {
        let text = INVITE.replace(from, to);
        assert_eq!(request(&text).map(|_| ()), Err(ParseError::Mandatory), "{to:?}");
    }
}

#[test]
fn a_line_that_is_no_header_field_is_skipped_with_its_continuation() {
    for line in [
        "no colon",
        "X Thing: one",
        ": no name",
        "Đầu-đề: one",
        "X\u{0}: one",
        "X-(y): one",
        "<html>\n folded: on",
        "X Thing: one\n\tL: 0",
        "X-Cr: one\rL: 0",
    ] {
        for place in ["v: SIP", "X-Thing : one", "l: 4"] {
            let text = INVITE.replace(place, &format!("{line}\n{place}"));
            let request = request(&text).unwrap_or_else(|error| panic!("{line:?}: {error}"));
            assert_eq!(request.odd_lines(), 1, "{line:?}");
            assert_eq!(request.via().unwrap().branch(), Some("z9hG4bKa"), "{line:?}");
            assert_eq!(request.from_tag(), Some("from1"), "{line:?}");
            assert_eq!(request.body(), b"body", "{line:?}");
        }
    }
    assert_eq!(request(INVITE).unwrap().odd_lines(), 0);
}

#[test]
fn a_line_with_a_blank_at_its_start_does_not_continue_the_start_line() {
    let text = INVITE.replace("SIP/2.0\nv:", "SIP/2.0\n X: 1\nv:");
    let request = request(&text).unwrap();
    assert_eq!((request.odd_lines(), request.method()), (1, Method::Invite));
}

#[test]
fn a_mandatory_field_within_an_odd_line_is_missing() {
    let text = INVITE.replace("abc@nexo", "abc\rBYE sip:x SIP/2.0");
    assert_eq!(request(&text).map(|_| ()), Err(ParseError::Mandatory));
}

#[test]
fn odd_values_of_mandatory_fields_are_accepted_if_their_meaning_is_clear() {
    for (from, to) in [
        ("I: abc@nexo", "I: abc@nexo\ni: abc@nexo"),
        ("\"A, \\\"B\\\"\" <sip:a@192.0.2.1>", "\"A \"B\" C\" <sip:a@192.0.2.1>"),
        ("\"A, \\\"B\\\"\" <sip:a@192.0.2.1>", "\"A, B <sip:a@192.0.2.1>"),
        ("\"A, \\\"B\\\"\" <sip:a@192.0.2.1>", "<sip:a b@192.0.2.1>"),
    ] {
        let request = request(&INVITE.replace(from, to)).unwrap();
        assert_eq!(request.from_tag(), Some("from1"), "{to}");
    }
}

#[test]
fn lines_may_end_without_a_carriage_return() {
    let Ok(Message::Request(request)) = Message::parse(INVITE.as_bytes()) else {
        panic!("no request");
    };
    assert_eq!((request.from_tag(), request.body()), (Some("from1"), &b"body"[..]));
}

#[test]
fn blank_lines_are_a_keep_alive() {
    assert_eq!(Message::parse(b"\r\n\r\n").unwrap_err(), ParseError::KeepAlive);
    assert_eq!(Message::parse(b"").unwrap_err(), ParseError::KeepAlive);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Message::parse(&bytes);
    }

    #[test]
    fn no_fields_make_the_parser_panic(
        fields in proptest::collection::vec(("[a-zA-Z-]{1,9}", "[ -~\t]{0,60}"), 0..20),
    ) {
        let mut text = String::from(INVITE.split("\n\n").next().unwrap_or_default());
        for (name, value) in fields {
            text.push_str(&format!("\n{name}: {value}"));
        }
        if let Ok(message) = request(&format!("{text}\n\nbody")) {
            let names = [Name::Via, Name::Contact, Name::RecordRoute, Name::Other];
            for name in names {
                let _ = message.values(name).map(NameAddr::parse).count();
            }
        }
    }

    #[test]
    fn no_damage_to_a_message_makes_the_parser_panic(
        index in 0usize..400, byte in any::<u8>(), cut in 0usize..400,
    ) {
        let mut bytes = INVITE.replace('\n', "\r\n").into_bytes();
        let index = index % bytes.len();
        bytes[index] = byte;
        bytes.truncate(cut.max(1));
        if let Ok(Message::Request(request)) = Message::parse(&bytes) {
            let _ = (request.via(), request.contact(), request.from_tag(), request.to_tag());
        }
    }
}
