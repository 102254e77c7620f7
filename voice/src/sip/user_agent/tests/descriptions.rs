//! Session descriptions, wherever messages carry them.

use super::*;

const AUDIO: &str = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 8\r\n";
const MIXED: &str = "multipart/mixed;boundary=\"-- x\"";
const ISUP: &str = "application/isup;version=itu-t92+";

/// A body of ISUP and a description.
fn mixed(description: &str) -> String {
    format!(
        "--{boundary}\r\nContent-Type: {ISUP}\r\n\r\n\x01\x02\r\n--{boundary}\r\n\
         Content-Type: Application/SDP\r\n\r\n{description}--{boundary}--\r\n",
        boundary = "-- x"
    )
}

impl Scene {
    fn answer_mixed(&mut self, code: u16, description: &str) {
        let mut draft = Draft::response(&self.invite, code, "b", LOCAL);
        draft.body(MIXED, mixed(description).into_bytes());
        self.ua.receive(self.now, GATEWAY, &draft.bytes());
    }

    fn answer_isup(&mut self, code: u16) {
        let mut draft = Draft::response(&self.invite, code, "b", LOCAL);
        draft.body(ISUP, vec![1, 2]);
        self.ua.receive(self.now, GATEWAY, &draft.bytes());
    }
}

#[test]
fn responses_carry_a_description_beside_other_parts() {
    let mut scene = Scene::new();
    scene.answer_mixed(183, AUDIO);
    let sdp = AUDIO.to_owned().into_bytes();
    let early = SipEvent::EarlyDescription { sdp: sdp.clone() };
    assert_eq!(scene.events(), [SipEvent::Provisional { code: 183 }, early]);
    // The answer has another part only.
    scene.answer_isup(200);
    assert_eq!(scene.events(), [SipEvent::Answered { code: 200, sdp }]);
    let mut scene = Scene::new();
    let other = AUDIO.replace("4000", "4002");
    scene.answer_mixed(183, AUDIO);
    scene.answer_mixed(200, &other);
    let answered = SipEvent::Answered { code: 200, sdp: other.into() };
    assert_eq!(scene.events().last(), Some(&answered));
}

#[test]
fn requests_carry_a_description_beside_other_parts() {
    let changed = SipEvent::MediaChanged { sdp: AUDIO.into() };
    let with_type =
        |body: &str| format!("Content-Type: {MIXED}\r\nContent-Length: {}\r\n", body.len());
    for method in ["INVITE", "UPDATE", "ACK"] {
        let mut scene = Scene::answered();
        let body = mixed(AUDIO);
        if method == "ACK" {
            scene.request_in_dialog("INVITE", 9, "", "");
            assert_eq!(scene.sent_code(), Some(200));
        }
        scene.request_in_dialog(method, 9, &with_type(&body), &body);
        let code = scene.sent_code();
        assert_eq!(code, Some(200).filter(|_| method != "ACK"), "{method}");
        assert_eq!(scene.events(), std::slice::from_ref(&changed), "{method}");
    }
    // Other parts alone are no offer.
    for (method, has_body) in [("INVITE", true), ("UPDATE", false)] {
        let mut scene = Scene::answered();
        scene.request_in_dialog(method, 9, &format!("Content-Type: {ISUP}\r\n"), "\x01\x02");
        let sent = scene.ua.poll_transmit().unwrap();
        let Message::Response(answer) = Message::parse(&sent.bytes).unwrap() else {
            panic!("a request");
        };
        assert_eq!((answer.code(), !answer.body().is_empty()), (200, has_body), "{method}");
        assert_eq!(scene.events(), []);
    }
}

#[test]
fn a_description_in_the_response_to_prack_counts() {
    let mut scene = Scene::new();
    let mut draft = Draft::response(&scene.invite, 183, "b", LOCAL);
    draft.field("Require", "100rel").field("RSeq", 1);
    scene.ua.receive(scene.now, GATEWAY, &draft.bytes());
    let prack = scene.sent().remove(0);
    let mut draft = Draft::response(&prack, 200, "b", LOCAL);
    draft.body(MIXED, mixed(AUDIO).into_bytes());
    scene.ua.receive(scene.now, GATEWAY, &draft.bytes());
    scene.answer_isup(200);
    let answered = SipEvent::Answered { code: 200, sdp: AUDIO.into() };
    assert_eq!(scene.events().last(), Some(&answered));
}

#[test]
fn an_offer_ends_the_hold_that_preceded_it() {
    let mut scene = Scene::answered();
    let held = format!("{AUDIO}a=inactive\r\nm=video 4002 RTP/AVP 96\r\n");
    scene.request_in_dialog("INVITE", 9, "", &held);
    let held = body_of(&mut scene);
    assert!(held.contains("a=inactive\r\nm=video 0 RTP/AVP 96\r\n"), "{held}");
    scene.request_in_dialog("INVITE", 10, "", "");
    let ours = body_of(&mut scene);
    assert!(ours.contains("m=audio 20000 RTP/AVP 8 0 101\r\n"), "{ours}");
    assert!(ours.contains("a=sendrecv\r\nm=video 0 RTP/AVP 96\r\n"), "{ours}");
    assert!(ours.contains("o=nexo 7 3 "), "{ours}");
}

/// The body of our response to the last request.
fn body_of(scene: &mut Scene) -> String {
    let sent = scene.ua.poll_transmit().unwrap();
    match Message::parse(&sent.bytes).unwrap() {
        Message::Response(response) => String::from_utf8_lossy(response.body()).into_owned(),
        Message::Request(_) => panic!("a request"),
    }
}
