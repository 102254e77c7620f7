//! The handling of 2xx responses to INVITE.

use super::*;

#[test]
fn a_2xx_is_acknowledged_with_a_new_branch_at_the_contact() {
    let mut scene = Scene::new();
    scene.answer(200, "b");
    let ack = scene.ua.poll_transmit().unwrap();
    assert_eq!(ack.to.address, SocketAddr::new(GATEWAY.ip(), 5070));
    let ack = request_of(&ack.bytes);
    assert_eq!(ack.uri(), "sip:b@192.0.2.9:5070");
    assert_eq!((ack.method(), ack.cseq()), (Method::Ack, scene.invite.cseq()));
    assert_ne!(ack.via().unwrap().branch(), scene.invite.via().unwrap().branch());
    assert_eq!(ack.to_tag(), Some("b"));
}

#[test]
fn a_repeated_2xx_is_acknowledged_with_the_same_bytes_and_not_reported_again() {
    let mut scene = Scene::new();
    scene.answer(200, "b");
    let first = scene.ua.poll_transmit().unwrap().bytes;
    scene.events();
    scene.now += 4000 * MS;
    scene.answer(200, "b");
    assert_eq!(scene.ua.poll_transmit().unwrap().bytes, first);
    assert_eq!(scene.events(), []);
}

#[test]
fn a_second_2xx_from_a_fork_is_acknowledged_and_hung_up() {
    let mut scene = Scene::answered();
    scene.answer(200, "fork");
    let sent = scene.sent();
    let methods: Vec<_> = sent.iter().map(Request::method).collect();
    assert_eq!(methods, [Method::Ack, Method::Bye]);
    assert!(sent.iter().all(|r| r.to_tag() == Some("fork")));
    assert_eq!(scene.events(), []);
    // The BYE of the fork does not affect the call.
    scene.request("BYE", "fork");
    assert_eq!(scene.sent_code(), Some(200));
    assert_eq!(scene.events(), []);
    scene.request("BYE", "b");
    assert_eq!(scene.events(), [SipEvent::RemoteHungUp]);
}

#[test]
fn a_fork_above_the_limit_is_hung_up_too() {
    let mut scene = Scene::answered();
    for fork in 0..20 {
        scene.answer(200, &format!("fork{fork}"));
        assert_eq!(scene.sent_methods(), [Method::Ack, Method::Bye], "fork {fork}");
    }
}

#[test]
fn a_2xx_without_a_description_uses_that_of_the_same_far_ends_early_media() {
    for (early_tag, expected) in [("b", "v=early"), ("other", "")] {
        let mut scene = Scene::new();
        scene.answer_with(183, early_tag, "v=early");
        scene.answer_with(200, "b", "");
        let answered = SipEvent::Answered { code: 200, sdp: expected.into() };
        assert_eq!(scene.events().last(), Some(&answered), "{early_tag}");
    }
    let mut scene = Scene::new();
    scene.answer_with(183, "b", "v=early");
    scene.answer_with(200, "b", "v=own");
    let own = SipEvent::Answered { code: 200, sdp: "v=own".into() };
    assert_eq!(scene.events().last(), Some(&own), "the description of the 2xx takes precedence");
}

#[test]
fn a_2xx_without_a_contact_is_acknowledged_at_the_target_of_the_invite() {
    let mut scene = Scene::new();
    scene.answer_with(200, "b", "");
    let ack = scene.ua.poll_transmit().unwrap();
    assert_eq!(ack.to.address, GATEWAY);
    assert_eq!(request_of(&ack.bytes).uri(), scene.invite.uri());
}

#[test]
fn messages_from_the_dialogs_host_are_accepted() {
    let mut scene = Scene::new();
    let elsewhere: SocketAddr = ([192, 0, 2, 50], 5080).into();
    let mut draft = Draft::response(&scene.invite, 200, "b", LOCAL);
    draft.field("Contact", "<sip:b@192.0.2.50:5080>");
    scene.ua.receive(scene.now, GATEWAY, &draft.bytes());
    assert_eq!(scene.ua.poll_transmit().unwrap().to.address, elsewhere);
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.ua.poll_transmit().unwrap();
    assert_eq!(bye.to.address, elsewhere);
    let answer = Draft::response(&request_of(&bye.bytes), 200, "b", LOCAL).bytes();
    scene.ua.receive(scene.now, elsewhere, &answer);
    assert_eq!((scene.ua.unsettled(), scene.ua.drop_counts().foreign), (0, 0));
}

#[test]
fn an_odd_line_loses_neither_a_200_nor_a_bye() {
    let mut scene = Scene::new();
    let bytes = Draft::response(&scene.invite, 200, "b", LOCAL).bytes();
    let odd = |text: String| text.replacen("\r\nCall-ID:", "\r\nno colon\r\nX Y: 1\r\nCall-ID:", 1);
    let answer = odd(String::from_utf8(bytes).unwrap());
    scene.ua.receive(scene.now, GATEWAY, answer.as_bytes());
    assert_eq!(scene.sent_methods(), [Method::Ack]);
    assert_eq!(scene.ua.odd_lines(), 2);
    let to_tag = scene.invite.from_tag().unwrap();
    let bye = odd(format!(
        "BYE sip:nexo@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bKb\r\n\
         From: \"a \"b\" c\" <sip:b@h>;tag=b\r\nTo: <sip:a@h>;tag={to_tag}\r\n\
         Call-ID: 8f2e1c4d-1@nexo\r\nCSeq: 9 BYE\r\nContent-Length: 99\r\n\r\n"
    ));
    scene.ua.receive(scene.now, GATEWAY, bye.as_bytes());
    assert_eq!(scene.sent_code(), Some(200));
    assert_eq!(scene.ua.odd_lines(), 5);
    scene.ua.receive(scene.now, LOCAL, answer.as_bytes());
    assert_eq!(scene.ua.odd_lines(), 5, "those of strangers do not count");
}
