//! Requests from the far end, gateways and strangers.

use super::*;
use crate::rtp::wire::telephone_event::DtmfKey;

#[test]
fn a_re_invite_without_an_offer_gets_the_current_description() {
    let mut scene = Scene::answered();
    scene.request("INVITE", "b");
    let bytes = scene.ua.poll_transmit().unwrap().bytes;
    let Message::Response(answer) = Message::parse(&bytes).unwrap() else {
        panic!("a request");
    };
    assert_eq!((answer.code(), answer.body()), (200, OURS.as_bytes()));
    assert_eq!(answer.contact(), Some("sip:nexo@192.0.2.1:5062"));
    assert_eq!(scene.events(), []);
}

#[test]
fn messages_from_strangers_are_dropped_and_counted() {
    let mut scene = Scene::new();
    let stranger: SocketAddr = ([203, 0, 113, 66], 5060).into();
    let answer = Draft::response(&scene.invite, 200, "b", LOCAL).bytes();
    scene.ua.receive(scene.now, stranger, &answer);
    let options = b"OPTIONS sip:nexo@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=1\r\nFrom: <sip:x@y>;tag=f\r\nTo: <sip:a@h>\r\nCall-ID: c\r\nCSeq: 3 OPTIONS\r\n\r\n";
    scene.ua.receive(scene.now, stranger, options);
    assert!(scene.ua.poll_transmit().is_none());
    assert_eq!(scene.events(), []);
    assert_eq!(scene.ua.drop_counts().foreign, 2);
}

#[test]
fn requests_outside_a_call_get_the_right_status_code() {
    for (method, to, code) in [
        ("INVITE", "<sip:a@h>", Some(405)),
        ("REGISTER", "<sip:a@h>", Some(405)),
        ("REFER", "<sip:a@h>", Some(405)),
        ("OPTIONS", "<sip:a@h>", Some(200)),
        ("BYE", "<sip:a@h>;tag=x", Some(481)),
        ("INVITE", "<sip:a@h>;tag=x", Some(481)),
        ("CANCEL", "<sip:a@h>", Some(481)),
        ("ACK", "<sip:a@h>;tag=x", None),
    ] {
        let mut scene = Scene::new();
        let text = format!(
            "{method} sip:nexo@h SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=1\r\nFrom: <sip:x@y>;tag=f\r\n\
             To: {to}\r\nCall-ID: other\r\nCSeq: 3 {method}\r\n\r\n"
        );
        scene.ua.receive(scene.now, GATEWAY, text.as_bytes());
        assert_eq!(scene.sent_code(), code, "{method} {to}");
    }
}

#[test]
fn a_response_has_the_via_of_the_request() {
    let mut scene = Scene::answered();
    scene.request("BYE", "b");
    let sent = scene.ua.poll_transmit().unwrap();
    assert_eq!(sent.to.address, GATEWAY);
    let response: Response = match Message::parse(&sent.bytes).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    };
    assert!(response.value(Name::Via).unwrap().contains("branch=z9hG4bKfar"));
}

#[test]
fn a_re_invite_with_a_new_contact_redirects_our_bye() {
    let mut scene = Scene::answered();
    scene.request_in_dialog("INVITE", 9, "Contact: <sip:moved@192.0.2.77:5099>\r\n", "");
    assert_eq!(scene.sent_code(), Some(200));
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.ua.poll_transmit().unwrap();
    assert_eq!(bye.to.address, "192.0.2.77:5099".parse().unwrap());
    let bye = request_of(&bye.bytes);
    assert_eq!(bye.uri(), "sip:moved@192.0.2.77:5099");
}

#[test]
fn requests_in_a_dialog_get_the_right_status_code() {
    let audio = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 8\r\n";
    let hold = "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 8\r\n";
    let video = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=video 4000 RTP/AVP 96\r\n";
    for (method, fields, body, code) in [
        ("INVITE", "", audio, 200),
        ("INVITE", "", hold, 200),
        ("INVITE", "", "", 200),
        ("INVITE", "", video, 488),
        ("UPDATE", "", "", 200),
        ("UPDATE", "", video, 488),
        ("INVITE", "Require: 100rel, timer\r\n", audio, 200),
        ("INVITE", "Require: timer, precondition\r\n", audio, 420),
        ("INFO", "", "", 200),
        ("OPTIONS", "", "", 200),
        ("PRACK", "", "", 481),
        ("REFER", "", "", 405),
    ] {
        let mut scene = Scene::answered();
        scene.request_in_dialog(method, 9, fields, body);
        assert_eq!(scene.sent_code(), Some(code), "{method} {fields} {body}");
        let expected = match (code, body) {
            (200, body) if !body.is_empty() => vec![SipEvent::MediaChanged { sdp: body.into() }],
            _ => vec![],
        };
        assert_eq!(scene.events(), expected, "the call continues");
    }
}

#[test]
fn an_info_reports_a_key_once_and_in_its_dialog_only() {
    let relay = "Content-Type: application/dtmf-relay\r\n";
    let pressed = |key, held_ms| SipEvent::KeyPressed {
        key: DtmfKey::from_char(key).unwrap(),
        held: MS * held_ms,
    };
    let mut scene = Scene::answered();
    for (cseq, fields, body, code, event) in [
        (9, relay, "Signal=5\r\nDuration=160\r\n", 200, Some(pressed('5', 160))),
        (9, relay, "Signal=5\r\nDuration=160\r\n", 200, None),
        (8, relay, "Signal=6\r\n", 500, None),
        (10, "c: Application/DTMF; charset=utf-8\r\n", "*", 200, Some(pressed('*', 0))),
        (11, relay, "Signal=flash", 200, None),
        (12, "Content-Type: application/media_control+xml\r\n", "<x/>", 415, None),
        (13, "Content-Type: application/x\r\nInfo-Package: x\r\n", "x", 469, None),
        (14, "", "5", 415, None),
        (15, "Require: foo\r\nContent-Type: application/dtmf\r\n", "5", 420, None),
        (16, "", "", 200, None),
    ] {
        scene.request_in_dialog("INFO", cseq, fields, body);
        let response = response_of(&mut scene);
        assert_eq!(response.code(), code, "{cseq}");
        assert_eq!(scene.events(), event.into_iter().collect::<Vec<_>>(), "{cseq}");
        assert_eq!(response.named("Accept").is_some(), code == 415);
        assert_eq!(response.named("Recv-Info"), (code == 469).then_some(""));
    }
    assert!(scene.invite.value(Name::Allow).unwrap().contains("INFO"));
    // In no dialog of the call, and after its end.
    let other = |scene: &mut Scene, tag: &str| {
        let to_tag = scene.invite.from_tag().unwrap();
        let text = format!(
            "INFO sip:nexo@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bKo\r\n\
             From: <sip:b@192.0.2.9>;tag={tag}\r\nTo: <sip:a@192.0.2.1>;tag={to_tag}\r\n\
             Call-ID: 8f2e1c4d-1@nexo\r\nCSeq: 20 INFO\r\n{relay}\r\nSignal=5"
        );
        scene.ua.receive(scene.now, GATEWAY, text.as_bytes());
        scene.sent_code()
    };
    assert_eq!(other(&mut scene, "stranger"), Some(481));
    scene.ua.hang_up(scene.now, scene.call);
    scene.sent();
    assert_eq!(other(&mut scene, "b"), Some(481));
    assert_eq!(scene.events(), []);
}

/// Our response to the last request.
fn response_of(scene: &mut Scene) -> Response {
    let sent = scene.ua.poll_transmit().unwrap();
    match Message::parse(&sent.bytes).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

#[test]
fn a_hold_and_its_end_are_answered() {
    let mut scene = Scene::answered();
    let held = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 8\r\na=sendonly\r\n";
    scene.request_in_dialog("INVITE", 9, "", held);
    let answer = response_of(&mut scene);
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(text.contains("a=recvonly") && text.contains("m=audio 20000 RTP/AVP 8\r\n"));
    assert!(text.contains("o=nexo 7 2 "), "{text}");
    // A retransmission gets the same response and is not reported again.
    scene.request_in_dialog("INVITE", 9, "", held);
    assert_eq!(response_of(&mut scene).body(), answer.body());
    assert_eq!(scene.events().len(), 1);
    let back = held.replace("sendonly", "sendrecv");
    scene.request_in_dialog("UPDATE", 10, "", &back);
    let text = String::from_utf8_lossy(response_of(&mut scene).body()).into_owned();
    assert!(text.contains("a=sendrecv") && text.contains("o=nexo 7 3 "), "{text}");
}

#[test]
fn a_re_invite_without_an_offer_gets_ours_and_its_ack_has_the_answer() {
    let mut scene = Scene::answered();
    scene.request_in_dialog("INVITE", 9, "", "");
    assert_eq!(response_of(&mut scene).body(), OURS.as_bytes());
    assert_eq!(scene.events(), []);
    let moved = "v=0\r\nc=IN IP4 192.0.2.77\r\nm=audio 4002 RTP/AVP 8\r\n";
    scene.request_in_dialog("ACK", 9, "", moved);
    let changed = SipEvent::MediaChanged { sdp: moved.into() };
    assert_eq!(scene.events(), [changed]);
}

#[test]
fn a_session_refresh_confirms_interval_and_refresher() {
    for (requested, confirmed, required) in [
        ("Session-Expires: 90;refresher=uac\r\n", "90;refresher=uac", true),
        ("x: 1800\r\n", "1800;refresher=uac", true),
        ("Session-Expires: 600 ; refresher=uas\r\n", "600;refresher=uas", false),
    ] {
        let mut scene = Scene::answered();
        let fields = format!("Require: timer\r\nSupported: timer\r\n{requested}");
        scene.request_in_dialog("UPDATE", 9, &fields, "");
        let answer = response_of(&mut scene);
        assert_eq!(answer.code(), 200);
        assert_eq!(answer.named("Session-Expires"), Some(confirmed));
        assert_eq!(answer.named("Require") == Some("timer"), required);
        assert!(answer.body().is_empty());
    }
}

#[test]
fn a_422_lengthens_the_session_once() {
    let mut scene = Scene::new();
    assert_eq!(scene.invite.named("Session-Expires"), Some("1800"));
    assert_eq!(scene.invite.named("Supported"), Some("100rel, timer"));
    for n in 0..2 {
        let mut draft = Draft::response(&scene.invite, 422, "b", LOCAL);
        draft.field("Min-SE", "3600");
        scene.ua.receive(scene.now, GATEWAY, &draft.bytes());
        let sent = scene.sent();
        assert_eq!(sent[0].method(), Method::Ack);
        if n == 0 {
            assert_eq!(sent[1].named("Session-Expires"), Some("3600"));
            assert_eq!(scene.events(), []);
            scene.invite = sent[1].clone();
        }
    }
    assert!(matches!(scene.events()[..], [SipEvent::Rejected { code: 422, .. }]));
}

#[test]
fn requests_out_of_order_are_rejected_except_bye() {
    let mut scene = Scene::answered();
    scene.request_in_dialog("INVITE", 9, "", "");
    scene.request_in_dialog("INVITE", 9, "", "");
    scene.request_in_dialog("UPDATE", 8, "", "");
    let codes = [scene.sent_code(), scene.sent_code(), scene.sent_code()];
    assert_eq!(codes, [Some(200), Some(200), Some(500)]);
    scene.request_in_dialog("BYE", 3, "", "");
    assert_eq!(scene.sent_code(), Some(200));
    assert_eq!(scene.events(), [SipEvent::RemoteHungUp]);
    scene.request_in_dialog("INVITE", 10, "", "");
    assert_eq!(scene.sent_code(), Some(481), "the call has ended");
}

#[test]
fn a_repeated_request_outside_a_call_gets_the_same_response() {
    let mut scene = Scene::new();
    let invite = b"INVITE sip:nexo@h SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=1\r\nFrom: <sip:x@y>;tag=f\r\n\
        To: <sip:a@h>\r\nCall-ID: other\r\nCSeq: 3 INVITE\r\n\r\n";
    scene.ua.receive(scene.now, GATEWAY, invite);
    scene.ua.receive(scene.now, GATEWAY, invite);
    let first = scene.ua.poll_transmit().unwrap();
    let again = scene.ua.poll_transmit().unwrap();
    assert_eq!(first.bytes, again.bytes, "RFC 3261 §8.2.7: the same tag");
    let Message::Response(refusal) = Message::parse(&first.bytes).unwrap() else {
        panic!("a request");
    };
    assert!(refusal.to_tag().is_some());
    assert!(!refusal.value(Name::Allow).unwrap().contains("INVITE"));
}

#[test]
fn a_gateway_with_an_ipv4_mapped_address_is_a_peer() {
    let mut scene = Scene::new();
    let mapped = SocketAddr::new("::ffff:192.0.2.9".parse().unwrap(), 5060);
    let options = b"OPTIONS sip:nexo@h SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=1\r\nFrom: <sip:x@y>;tag=f\r\n\
        To: <sip:a@h>\r\nCall-ID: c\r\nCSeq: 3 OPTIONS\r\n\r\n";
    scene.ua.receive(scene.now, mapped, options);
    let answer = scene.ua.poll_transmit().expect("a response to a peer");
    assert_eq!(answer.to.address, mapped);
}

#[test]
fn a_keep_alive_is_not_counted_as_garbage() {
    let mut scene = Scene::new();
    scene.ua.receive(scene.now, GATEWAY, b"\r\n\r\n");
    assert_eq!(scene.ua.drop_counts(), DropCounts::default());
    scene.ua.receive(scene.now, GATEWAY, b"hello");
    assert_eq!(scene.ua.drop_counts().garbage, 1);
}
