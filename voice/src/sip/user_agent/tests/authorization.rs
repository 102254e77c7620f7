use super::*;
use crate::sip::user_agent::digest::{Credentials, DigestAlgorithm};
use nexo_domain::call::WeakChallenge;

const CHALLENGE: &str = "Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth\"";

impl Scene {
    /// A call with credentials.
    fn with_credentials(realm: Option<&str>) -> Scene {
        let credentials = Credentials::new("nexo", "s3cret", realm);
        Scene::with_invite(Invite { credentials: Some(credentials.into()), ..invite() })
    }

    /// The gateway challenges a request.
    fn challenge(&mut self, request: &Request, code: u16, challenge: &str) {
        let name = match code {
            407 => "Proxy-Authenticate",
            _ => "WWW-Authenticate",
        };
        let mut draft = Draft::response(request, code, "c", LOCAL);
        draft.field(name, challenge);
        self.ua.receive(self.now, GATEWAY, &draft.bytes());
    }

    fn accept(&mut self, invite: &Request) {
        let mut draft = Draft::response(invite, 200, "b", LOCAL);
        draft.field("Contact", "<sip:b@192.0.2.9:5070>");
        self.ua.receive(self.now, GATEWAY, &draft.bytes());
    }
}

fn nonce_count(request: &Request) -> Option<String> {
    let value = request.named("Authorization")?;
    let (_, count) = value.split_once("nc=")?;
    Some(count[..8].to_owned())
}

#[test]
fn a_challenged_invite_is_sent_again_with_credentials_which_its_ack_repeats() {
    let mut scene = Scene::with_credentials(None);
    let first = scene.invite.clone();
    scene.challenge(&first, 401, CHALLENGE);
    let sent = scene.sent();
    let [ack, invite] = sent.as_slice() else {
        panic!("{} requests", sent.len());
    };
    assert_eq!((ack.method(), invite.method()), (Method::Ack, Method::Invite));
    assert_eq!(ack.via().unwrap().branch(), first.via().unwrap().branch());
    assert_ne!(invite.via().unwrap().branch(), first.via().unwrap().branch());
    assert_eq!((first.cseq(), invite.cseq()), (1, 2));
    assert_eq!(invite.call_id(), first.call_id());
    assert_eq!(invite.from_tag(), first.from_tag());
    assert_eq!(invite.to_tag(), None);
    assert_eq!(nonce_count(invite).as_deref(), Some("00000001"));
    assert_eq!(scene.events(), []);

    scene.accept(invite);
    let sent = scene.sent();
    assert_eq!(sent[0].method(), Method::Ack);
    assert_eq!(sent[0].cseq(), 2);
    assert_eq!(sent[0].named("Authorization"), invite.named("Authorization"));
    assert!(matches!(scene.events()[..], [SipEvent::Answered { .. }]));
    scene.ua.hang_up(scene.now, scene.call);
    let bye = &scene.sent()[0];
    assert_eq!((bye.method(), bye.cseq()), (Method::Bye, 3));
    assert_eq!(nonce_count(bye).as_deref(), Some("00000002"));
}

#[test]
fn a_known_nonce_saves_the_second_invite() {
    let mut scene = Scene::with_credentials(None);
    let first = scene.invite.clone();
    scene.challenge(&first, 401, CHALLENGE);
    scene.sent();
    let next = Invite {
        call_id: "other@nexo".into(),
        credentials: Some(Credentials::new("nexo", "s3cret", None).into()),
        ..invite()
    };
    scene.ua.invite(scene.now, next);
    let sent = scene.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(nonce_count(&sent[0]).as_deref(), Some("00000002"));
}

#[test]
fn rejected_credentials_are_not_retried() {
    let mut scene = Scene::with_credentials(None);
    let first = scene.invite.clone();
    scene.challenge(&first, 401, CHALLENGE);
    let second = scene.sent().pop().unwrap();
    scene.challenge(&second, 401, "Digest realm=\"carrier\", nonce=\"n2\", qop=\"auth\"");
    assert_eq!(scene.sent_methods(), [Method::Ack]);
    let rejected = SipEvent::Rejected { code: 401, retry_after_seconds: None };
    assert_eq!(scene.events(), [rejected]);
}

#[test]
fn a_stale_nonce_allows_exactly_one_more_attempt() {
    let mut scene = Scene::with_credentials(None);
    let stale = "Digest realm=\"carrier\", nonce=\"n2\", qop=\"auth\", stale=true";
    let mut invite = scene.invite.clone();
    for _ in 0..2 {
        scene.challenge(&invite, 401, stale);
        let mut sent = scene.sent();
        assert_eq!(sent.len(), 2);
        invite = sent.pop().unwrap();
    }
    scene.challenge(&invite, 401, stale);
    assert_eq!(scene.sent_methods(), [Method::Ack]);
    assert!(matches!(scene.events()[..], [SipEvent::Rejected { code: 401, .. }]));
}

#[test]
fn a_proxy_and_the_server_may_both_challenge() {
    let mut scene = Scene::with_credentials(None);
    let first = scene.invite.clone();
    scene.challenge(&first, 407, CHALLENGE);
    let second = scene.sent().pop().unwrap();
    scene.challenge(&second, 401, CHALLENGE);
    let third = scene.sent().pop().unwrap();
    assert_eq!(third.cseq(), 3);
    assert!(third.named("Proxy-Authorization").is_some());
    assert!(third.named("Authorization").is_some());
}

#[test]
fn a_repeated_challenge_is_acknowledged_again_until_timer_d() {
    let mut scene = Scene::with_credentials(None);
    let first = scene.invite.clone();
    scene.challenge(&first, 401, CHALLENGE);
    let second = scene.sent().pop().unwrap();
    scene.challenge(&first, 401, CHALLENGE);
    let sent = scene.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].method(), Method::Ack);
    assert_eq!(sent[0].via().unwrap().branch(), first.via().unwrap().branch());
    scene.challenge(&second, 486, "");
    scene.advance(Duration::from_secs(40));
    assert_eq!(scene.ua.legs(), 0);
}

#[test]
fn without_credentials_for_the_realm_a_challenge_is_a_rejection() {
    for mut scene in [Scene::new(), Scene::with_credentials(Some("other"))] {
        let first = scene.invite.clone();
        scene.challenge(&first, 401, CHALLENGE);
        assert_eq!(scene.sent_methods(), [Method::Ack]);
        assert!(matches!(scene.events()[..], [SipEvent::Rejected { code: 401, .. }]));
    }
}

#[test]
fn a_challenge_weaker_than_required_is_not_answered() {
    for code in [401, 407] {
        let credentials = Credentials::new("nexo", "s3cret", None);
        let mut scene = Scene::with_invite(Invite {
            credentials: Some(credentials.with_minimum(DigestAlgorithm::Sha256).into()),
            ..invite()
        });
        let first = scene.invite.clone();
        scene.challenge(&first, code, CHALLENGE);
        assert_eq!(scene.sent_methods(), [Method::Ack]);
        let weak = WeakChallenge { code, offered: "md5", required: "sha-256" };
        assert_eq!(scene.events(), [SipEvent::WeakChallenge(weak)]);
    }
}

#[test]
fn a_cancelled_call_is_not_authorized() {
    let mut scene = Scene::with_credentials(None);
    scene.answer(100, "");
    scene.ua.hang_up(scene.now, scene.call);
    scene.sent();
    let first = scene.invite.clone();
    scene.challenge(&first, 401, CHALLENGE);
    assert_eq!(scene.sent_methods(), [Method::Ack]);
}

#[test]
fn a_cancel_has_the_branch_and_number_of_the_last_invite() {
    let mut scene = Scene::with_credentials(None);
    let first = scene.invite.clone();
    scene.challenge(&first, 401, CHALLENGE);
    let second = scene.sent().pop().unwrap();
    scene.answer_to(&second, 180);
    scene.ua.hang_up(scene.now, scene.call);
    let cancel = &scene.sent()[0];
    assert_eq!((cancel.method(), cancel.cseq()), (Method::Cancel, 2));
    assert_eq!(cancel.via().unwrap().branch(), second.via().unwrap().branch());
}

/// The realms that a request is authorized for towards proxies.
fn proxy_realms(request: &Request) -> Vec<String> {
    let values = request.lines_named("Proxy-Authorization");
    let realm = |value: &str| Some(value.split("realm=\"").nth(1)?.split('"').next()?.to_owned());
    values.filter_map(realm).collect()
}

#[test]
fn two_proxies_of_two_realms_are_answered_in_turn_for_every_method() {
    let (edge, core) = (
        "Digest realm=\"edge\", nonce=\"e1\", qop=\"auth\"",
        "Digest realm=\"core\", nonce=\"c1\", qop=\"auth\"",
    );
    let mut scene = Scene::with_credentials(None);
    let first = scene.invite.clone();
    scene.challenge(&first, 407, edge);
    let second = scene.sent().pop().unwrap();
    scene.challenge(&second, 407, core);
    let third = scene.sent().pop().unwrap();
    assert_eq!((third.method(), third.cseq()), (Method::Invite, 3));
    assert_eq!(proxy_realms(&third), ["edge", "core"]);
    scene.accept(&third);
    let ack = scene.sent().pop().unwrap();
    assert_eq!(proxy_realms(&ack), ["edge", "core"]);
    scene.events();
    scene.ua.hang_up(scene.now, scene.call);
    let mut bye = scene.sent().pop().unwrap();
    assert_eq!(proxy_realms(&bye), ["edge", "core"], "known nonces are used");
    for (challenge, realms) in [(edge, ["core", "edge"]), (core, ["edge", "core"])] {
        scene.challenge(&bye, 407, challenge);
        bye = scene.sent().pop().unwrap();
        assert_eq!(
            (bye.method(), proxy_realms(&bye)),
            (Method::Bye, realms.map(str::to_owned).into())
        );
    }
    scene.challenge(&bye, 407, edge);
    assert_eq!(scene.sent().len(), 0, "refused");
}

#[test]
fn a_challenged_prack_is_sent_again() {
    let mut scene = Scene::with_credentials(None);
    let mut draft = Draft::response(&scene.invite, 183, "b", LOCAL);
    draft.field("Require", "100rel").field("RSeq", "7 ;odd");
    scene.ua.receive(scene.now, GATEWAY, &draft.bytes());
    let prack = scene.sent().pop().unwrap();
    scene.challenge(&prack, 407, CHALLENGE);
    let again = scene.sent().pop().unwrap();
    assert_eq!((again.method(), again.cseq()), (Method::Prack, prack.cseq() + 1));
    assert_eq!(again.named("RAck"), prack.named("RAck"));
    assert_eq!(proxy_realms(&again), ["carrier"]);
    scene.challenge(&again, 407, CHALLENGE);
    assert_eq!(scene.sent().len(), 0);
    assert_eq!(scene.ua.drop_counts().stray, 0);
}

#[test]
fn a_challenged_bye_is_sent_again_once() {
    let mut scene = Scene::with_credentials(None);
    scene.answer(200, "b");
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.sent().pop().unwrap();
    assert_eq!(nonce_count(&bye), None);
    scene.challenge(&bye, 401, CHALLENGE);
    let mut sent = scene.sent();
    assert_eq!(sent.len(), 1);
    let again = sent.pop().unwrap();
    assert_eq!((again.method(), again.cseq()), (Method::Bye, bye.cseq() + 1));
    assert_eq!(nonce_count(&again).as_deref(), Some("00000001"));
    scene.challenge(&again, 401, CHALLENGE);
    assert_eq!(scene.sent().len(), 0);
    scene.advance(Duration::from_secs(40));
    assert_eq!(scene.ua.legs(), 0);
}
