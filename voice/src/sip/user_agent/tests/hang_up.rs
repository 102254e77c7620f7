//! The ends of calls, and what is kept of them.

use super::*;

#[test]
fn a_cancel_waits_for_a_provisional_response_and_uses_the_invites_branch() {
    let mut scene = Scene::new();
    scene.ua.hang_up(scene.now, scene.call);
    assert_eq!(scene.advance(1000 * MS), [], "neither CANCEL nor retransmissions");
    scene.answer(180, "b");
    let sent = scene.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].method(), Method::Cancel);
    assert_eq!(sent[0].via().unwrap().branch(), scene.invite.via().unwrap().branch());
    assert_eq!(sent[0].cseq(), scene.invite.cseq());
    assert_eq!(sent[0].to_tag(), None);
    scene.answer_to(&sent[0], 200);
    scene.answer(487, "b");
    assert_eq!(scene.sent_methods(), [Method::Ack]);
    assert_eq!(scene.events(), [], "a cancelled call has no end event");
    scene.advance(40_000 * MS);
    assert_eq!(scene.ua.legs(), 0);
}

#[test]
fn a_2xx_that_crosses_the_cancel_is_hung_up() {
    let mut scene = Scene::new();
    scene.answer(180, "b");
    scene.ua.hang_up(scene.now, scene.call);
    assert_eq!(scene.sent_methods(), [Method::Cancel]);
    scene.answer(200, "b");
    assert_eq!(scene.sent_methods(), [Method::Ack, Method::Bye]);
    assert_eq!(scene.events(), [SipEvent::Provisional { code: 180 }], "the answer is not reported");
}

#[test]
fn late_responses_after_the_timeout_are_cancelled_or_hung_up() {
    let mut scene = Scene::new();
    scene.advance(2500 * MS);
    assert_eq!(scene.events(), [SipEvent::TimedOut]);
    scene.answer(180, "b");
    assert_eq!(scene.sent_methods(), [Method::Cancel]);
    scene.answer(200, "b");
    assert_eq!(scene.sent_methods(), [Method::Ack, Method::Bye]);
    assert_eq!(scene.events(), []);
}

#[test]
fn a_lost_cancel_is_retransmitted_after_t1() {
    let mut scene = Scene::new();
    scene.answer(180, "b");
    scene.ua.hang_up(scene.now, scene.call);
    scene.sent();
    assert_eq!(scene.advance(1600 * MS), [(500, Method::Cancel), (1500, Method::Cancel)]);
}

#[test]
fn a_lost_bye_is_retransmitted_after_t1_until_the_response() {
    let mut scene = Scene::answered();
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.sent().remove(0);
    assert_eq!((bye.method(), bye.cseq()), (Method::Bye, 2));
    assert_eq!(scene.advance(600 * MS), [(500, Method::Bye)]);
    scene.answer_to(&bye, 200);
    assert_eq!(scene.advance(60_000 * MS), []);
    assert_eq!(scene.ua.legs(), 0);
    assert_eq!(scene.events(), []);
}

#[test]
fn crossing_byes_are_both_answered_and_not_reported() {
    let mut scene = Scene::answered();
    scene.ua.hang_up(scene.now, scene.call);
    scene.sent();
    scene.request("BYE", "b");
    assert_eq!(scene.sent_code(), Some(200));
    assert_eq!(scene.events(), []);
}

#[test]
fn a_repeated_bye_of_the_far_end_gets_the_same_response() {
    let mut scene = Scene::answered();
    scene.request("BYE", "b");
    scene.request("BYE", "b");
    assert_eq!((scene.sent_code(), scene.sent_code()), (Some(200), Some(200)));
    assert_eq!(scene.events(), [SipEvent::RemoteHungUp]);
    scene.advance(70_000 * MS);
    assert_eq!(scene.ua.legs(), 0);
}

#[test]
fn a_finished_call_keeps_less_than_four_kilobytes_and_finally_nothing() {
    let mut scene = Scene::answered();
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.sent().remove(0);
    scene.answer_to(&bye, 200);
    let held = scene.ua.bytes_held();
    assert!(held < 4096, "{held} bytes");
    scene.advance(40_000 * MS);
    assert_eq!((scene.ua.legs(), scene.ua.bytes_held()), (0, 0));
}

#[test]
fn the_487_after_a_late_cancel_is_acknowledged() {
    let mut scene = Scene::new();
    scene.advance(31_000 * MS);
    scene.answer(180, "b");
    assert_eq!(scene.sent_methods(), [Method::Cancel]);
    scene.advance(1500 * MS);
    scene.answer(487, "b");
    assert_eq!(scene.sent_methods(), [Method::Ack]);
}

#[test]
fn hanging_up_an_answered_call_sends_bye() {
    let mut scene = Scene::answered();
    scene.ua.hang_up(scene.now, scene.call);
    assert_eq!(scene.sent_methods(), [Method::Bye]);
}

#[test]
fn a_call_is_settled_once_the_far_end_has_confirmed_its_end() {
    let mut scene = Scene::answered();
    assert_eq!(scene.ua.unsettled(), 1, "the call is active");
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.sent().remove(0);
    assert_eq!(scene.ua.unsettled(), 1, "the BYE has no response");
    scene.answer_to(&bye, 200);
    assert_eq!((scene.ua.unsettled(), scene.ua.legs()), (0, 1));

    let mut scene = Scene::new();
    scene.answer(180, "b");
    scene.ua.hang_up(scene.now, scene.call);
    let cancel = scene.sent().remove(0);
    scene.answer_to(&cancel, 200);
    assert_eq!(scene.ua.unsettled(), 1, "a 2xx may still arrive");
    scene.answer(487, "b");
    assert_eq!(scene.ua.unsettled(), 0);
}
