//! From the INVITE to its first final response.

use super::*;

#[test]
fn an_unanswered_invite_is_retransmitted_and_times_out_once() {
    let mut scene = Scene::new();
    let retransmissions = scene.advance(40_000 * MS);
    assert_eq!(retransmissions, [(500, Method::Invite), (1500, Method::Invite)]);
    assert_eq!(scene.events(), [SipEvent::TimedOut]);
    assert_eq!(scene.ua.legs(), 0, "no call is kept");
}

#[test]
fn a_provisional_response_stops_retransmission_and_each_is_reported() {
    let mut scene = Scene::new();
    scene.answer(100, "");
    scene.answer(180, "b");
    assert_eq!(scene.advance(20_000 * MS), []);
    assert_eq!(
        scene.events(),
        [SipEvent::Provisional { code: 100 }, SipEvent::Provisional { code: 180 }]
    );
}

#[test]
fn each_failure_is_acknowledged_with_the_invites_branch_but_reported_once() {
    let mut scene = Scene::new();
    scene.answer(486, "b");
    scene.answer(486, "b");
    let sent = scene.sent();
    assert_eq!(sent.len(), 2);
    for ack in sent {
        assert_eq!(ack.method(), Method::Ack);
        assert_eq!(ack.via().unwrap().branch(), scene.invite.via().unwrap().branch());
        assert_eq!(ack.uri(), scene.invite.uri());
        assert_eq!(ack.to_tag(), Some("b"));
    }
    let rejected = SipEvent::Rejected { code: 486, retry_after_seconds: None };
    assert_eq!(scene.events(), [rejected]);
    scene.advance(33_000 * MS);
    assert_eq!(scene.ua.legs(), 0);
}

#[test]
fn early_media_without_a_tag_opens_no_dialog() {
    let mut scene = Scene::new();
    scene.answer(183, "");
    assert_eq!(scene.events(), [SipEvent::Provisional { code: 183 }]);
    assert_eq!(scene.sent_methods(), []);
}

#[test]
fn a_redirection_is_not_followed() {
    let mut scene = Scene::new();
    scene.answer(302, "b");
    assert_eq!(scene.sent_methods(), [Method::Ack]);
    let rejected = SipEvent::Rejected { code: 302, retry_after_seconds: None };
    assert_eq!(scene.events(), [rejected]);
}

#[test]
fn retry_after_of_a_503_is_reported() {
    let mut scene = Scene::new();
    let mut draft = Draft::response(&scene.invite, 503, "b", LOCAL);
    draft.field("Retry-After", "17 (busy);duration=60");
    scene.ua.receive(scene.now, GATEWAY, &draft.bytes());
    let rejected = SipEvent::Rejected { code: 503, retry_after_seconds: Some(17) };
    assert_eq!(scene.events(), [rejected]);
}

#[test]
fn a_response_with_another_branch_is_stray() {
    let mut scene = Scene::new();
    let branch = scene.invite.via().unwrap().branch().unwrap().to_owned();
    let text = String::from_utf8(Draft::response(&scene.invite, 200, "b", LOCAL).bytes()).unwrap();
    let text = text.replace(&branch, "z9hG4bKother");
    scene.ua.receive(scene.now, GATEWAY, text.as_bytes());
    assert_eq!(scene.events(), []);
    assert_eq!(scene.ua.drop_counts().stray, 1);
}

#[test]
fn a_repeated_provisional_response_is_reported_once_and_a_changed_one_again() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.answer(180, "b");
        scene.answer(100, "");
    }
    scene.answer_with(183, "b", "v=0");
    scene.answer_with(183, "b", "v=1");
    let codes = scene.events().into_iter().filter_map(|event| match event {
        SipEvent::Provisional { code } => Some(code),
        SipEvent::EarlyDescription { .. } => None,
        other => panic!("{other:?}"),
    });
    assert_eq!(codes.collect::<Vec<_>>(), [180, 100, 183, 183]);
}

#[test]
fn transmits_have_their_kind_and_whether_they_are_retransmissions() {
    let mut ua = UserAgent::new("test", Timers::default(), 1);
    let now = Instant::now();
    ua.invite(now, invite());
    ua.tick(now + 500 * MS);
    let sent: Vec<_> = std::iter::from_fn(|| ua.poll_transmit())
        .map(|sent| (sent.kind, sent.is_retransmission))
        .collect();
    let invite = MessageKind::Request(Method::Invite);
    assert_eq!(sent, [(invite, false), (invite, true)]);
    let mut scene = Scene::answered();
    scene.answer(200, "b");
    let ack = scene.ua.poll_transmit().unwrap();
    assert_eq!((ack.kind, ack.is_retransmission), (MessageKind::Request(Method::Ack), true));
    scene.request("BYE", "b");
    let answer = scene.ua.poll_transmit().unwrap();
    assert_eq!((answer.kind, answer.is_retransmission), (MessageKind::Response(200), false));
}

#[test]
fn a_failed_transport_is_reported_once_and_a_late_response_cancelled() {
    let mut scene = Scene::new();
    scene.ua.transport_failed(scene.now, scene.call);
    scene.ua.transport_failed(scene.now, scene.call);
    assert_eq!(scene.events(), [SipEvent::TransportFailed]);
    assert_eq!(scene.advance(1000 * MS), [], "no retransmission");
    scene.answer(180, "b");
    assert_eq!(scene.sent_methods(), [Method::Cancel]);
    scene.advance(90_000 * MS);
    assert_eq!((scene.events(), scene.ua.legs()), (vec![], 0));
}
