use super::*;

impl Scene {
    /// The gateway sends a reliable provisional response.
    fn answer_reliably(&mut self, code: u16, tag: &str, sequence: u32, body: &str) {
        let mut draft = Draft::response(&self.invite, code, tag, LOCAL);
        draft
            .field("Contact", "<sip:b@192.0.2.9:5070>")
            .field("Require", "100rel")
            .field("RSeq", sequence);
        if !body.is_empty() {
            draft.body("application/sdp", body.into());
        }
        self.ua.receive(self.now, GATEWAY, &draft.bytes());
    }
}

#[test]
fn a_reliable_provisional_response_is_acknowledged_in_its_early_dialog() {
    let mut scene = Scene::new();
    scene.answer_reliably(183, "b", 4711, "");
    let sent = scene.sent();
    let [prack] = sent.as_slice() else {
        panic!("{} requests", sent.len());
    };
    assert_eq!(prack.method(), Method::Prack);
    assert_eq!(prack.named("RAck"), Some("4711 1 INVITE"));
    assert_eq!((prack.to_tag(), prack.cseq()), (Some("b"), 2));
    assert_eq!(prack.uri(), "sip:b@192.0.2.9:5070");
    // A repetition, and one out of order.
    scene.answer_reliably(183, "b", 4711, "");
    scene.answer_reliably(180, "b", 4713, "");
    assert_eq!(scene.sent_methods(), []);
    scene.answer_reliably(180, "b", 4712, "");
    let next = scene.sent().remove(0);
    assert_eq!(next.named("RAck"), Some("4712 1 INVITE"));
    assert_eq!(next.cseq(), 3);
    scene.answer_to(prack, 200);
    scene.answer_to(&next, 200);
    scene.answer(200, "b");
    let ack = scene.sent().remove(0);
    assert_eq!((ack.method(), ack.cseq()), (Method::Ack, 1), "the number of the INVITE");
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.sent().remove(0);
    assert_eq!((bye.method(), bye.cseq()), (Method::Bye, 4), "the numbers continue");
}

#[test]
fn a_lost_prack_is_retransmitted_until_the_response() {
    let mut scene = Scene::new();
    scene.answer_reliably(180, "b", 1, "");
    let prack = scene.sent().remove(0);
    let sent = scene.advance(2000 * MS);
    assert_eq!(sent, [(500, Method::Prack), (1500, Method::Prack)]);
    scene.answer_to(&prack, 200);
    assert_eq!(scene.advance(20_000 * MS), []);
    assert_eq!(scene.ua.drop_counts().stray, 0);
}

#[test]
fn forks_with_reliable_provisional_responses_open_separate_dialogs() {
    let mut scene = Scene::new();
    for (tag, sequence) in [("b", 10), ("c", 90)] {
        scene.answer_reliably(180, tag, sequence, "");
        let prack = scene.sent().remove(0);
        assert_eq!(prack.to_tag(), Some(tag));
        assert_eq!(prack.cseq(), 2);
    }
}

#[test]
fn an_unreliable_provisional_response_is_not_acknowledged() {
    let mut scene = Scene::new();
    scene.answer(180, "b");
    assert_eq!(scene.sent_methods(), []);
}

#[test]
fn an_update_before_the_answer_sets_the_media_description() {
    let mut scene = Scene::new();
    let early = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 8\r\n";
    scene.answer_reliably(183, "b", 1, early);
    scene.sent();
    let moved = early.replace("4000", "4002");
    scene.request_in_dialog("UPDATE", 5, "", &moved);
    assert_eq!(scene.sent_code(), Some(200));
    scene.answer_with(200, "b", "");
    let answered = SipEvent::Answered { code: 200, sdp: moved.into() };
    assert_eq!(scene.events().last(), Some(&answered));
}

#[test]
fn a_call_cancelled_early_sends_no_further_prack() {
    let mut scene = Scene::new();
    scene.answer_reliably(180, "b", 1, "");
    scene.sent();
    scene.ua.hang_up(scene.now, scene.call);
    assert_eq!(scene.sent_methods(), [Method::Cancel]);
    let sent = scene.advance(31_000 * MS);
    assert!(sent.iter().all(|(_, method)| *method == Method::Cancel), "{sent:?}");
}
