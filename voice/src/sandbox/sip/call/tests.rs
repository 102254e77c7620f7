use super::*;
use crate::sandbox::behaviour::Behaviour;

const RING: Duration = Duration::from_millis(800);

fn call_to(behaviour: Behaviour) -> (Call, Vec<Step>, Instant) {
    let now = Instant::now();
    let (call, steps) = Call::invited(behaviour.script(RING), now);
    (call, steps, now)
}

/// Returns a call that is answered but not yet acknowledged.
fn answered(behaviour: Behaviour) -> (Call, Instant) {
    let (mut call, _, now) = call_to(behaviour);
    let now = now + RING;
    assert!(matches!(call.tick(now)[..], [Step::OpenMedia(_)]));
    assert_eq!(call.media_opened(true, now), [Step::Answer]);
    (call, now)
}

/// Advances the clock from deadline to deadline up to `until`. Returns the steps with their times
/// in ms.
fn run(call: &mut Call, from: Instant, until: Duration) -> Vec<(Step, u128)> {
    let mut done = Vec::new();
    while let Some(at) = call.deadline().filter(|at| *at <= from + until) {
        let ms = (at - from).as_millis();
        done.extend(call.tick(at).into_iter().map(|step| (step, ms)));
    }
    done
}

fn times_of(step: Step, done: &[(Step, u128)]) -> Vec<u128> {
    let same = done.iter().filter(|(s, _)| *s == step);
    same.map(|(_, ms)| *ms).collect()
}

#[test]
fn a_listening_number_sends_100_180_and_200() {
    let (mut call, steps, now) = call_to(Behaviour::Listens);
    assert_eq!(steps, [respond(100), respond(180)]);
    assert_eq!(call.deadline(), Some(now + RING));
    assert_eq!(call.tick(now + RING - Duration::from_millis(1)), []);
    let now = now + RING;
    assert_eq!(call.tick(now), [Step::OpenMedia(Playback::Silence)]);
    assert_eq!(call.media_opened(true, now), [Step::Answer]);
    assert_eq!(call.acknowledged(now), []);
    let later = now + Duration::from_secs(12);
    assert_eq!(
        call.hung_up(later),
        [
            Step::HungUp(Party::Caller),
            Step::Ended { answered: true, talk_time: Duration::from_secs(12) },
            Step::Forget
        ]
    );
    assert_eq!(call.deadline(), None);
}

#[test]
fn an_answer_is_retransmitted_until_its_ack() {
    let (mut call, now) = answered(Behaviour::Listens);
    let done = run(&mut call, now, Duration::from_secs(10));
    let repeats = times_of(Step::RepeatResponse, &done);
    assert_eq!(repeats, [500, 1500, 3500, 7500]);
    // The caller repeats its ACK for a retransmitted 200.
    call.acknowledged(now + Duration::from_secs(10));
    assert_eq!(call.acknowledged(now + Duration::from_secs(11)), []);
    assert!(run(&mut call, now, Duration::from_secs(80)).is_empty());
}

#[test]
fn an_answer_that_is_never_acknowledged_is_hung_up_after_64_t1() {
    let (mut call, now) = answered(Behaviour::Listens);
    let done = run(&mut call, now, Duration::from_secs(70));
    assert_eq!(times_of(Step::Bye, &done), [32_000]);
    assert_eq!(times_of(Step::Forget, &done), [64_000]);
    assert_eq!(times_of(Step::RepeatBye, &done)[..2], [32_500, 33_500]);
    let ends = done.iter().filter(|(s, _)| matches!(s, Step::Ended { .. }));
    assert_eq!(ends.count(), 1);
}

#[test]
fn a_rejection_is_retransmitted_until_its_ack() {
    let (mut call, steps, now) = call_to(Behaviour::Busy);
    assert_eq!(steps[..2], [respond(100), respond(486)]);
    let done = run(&mut call, now, Duration::from_secs(16));
    let repeats = times_of(Step::RepeatResponse, &done);
    assert_eq!(repeats, [500, 1500, 3500, 7500, 11_500, 15_500]);
    assert_eq!(call.invite_retransmitted(), [Step::RepeatResponse]);
    assert_eq!(call.acknowledged(now), [Step::Forget]);
    assert_eq!(call.acknowledged(now), []);
    assert_eq!(call.invite_retransmitted(), []);
}

#[test]
fn a_rejection_without_an_ack_is_forgotten_after_64_t1() {
    let (mut call, _, now) = call_to(Behaviour::Congested);
    let done = run(&mut call, now, Duration::from_secs(200));
    assert_eq!(times_of(Step::Forget, &done), [32_000]);
    assert_eq!(call.state, CallState::Over);
}

#[test]
fn a_cancelled_ring_is_answered_487_once() {
    let (mut call, _, now) = call_to(Behaviour::NeverAnswers);
    let now = now + Duration::from_secs(30);
    assert_eq!(call.tick(now), []);
    let steps = call.cancelled(now);
    assert_eq!(steps[..2], [Step::Cancelled, respond(487)]);
    assert_eq!(call.cancelled(now), []);
    assert_eq!(call.acknowledged(now), [Step::Forget]);
}

#[test]
fn a_cancel_after_the_answer_has_no_effect() {
    let (mut call, now) = answered(Behaviour::Listens);
    assert_eq!(call.cancelled(now), []);
    call.acknowledged(now);
    assert_eq!(call.cancelled(now), []);
    assert!(matches!(call.state, CallState::Talking { .. }));
}

#[test]
fn a_cancel_while_the_socket_is_opened_prevents_the_answer() {
    let (mut call, _, now) = call_to(Behaviour::Listens);
    call.tick(now + RING);
    assert_eq!(call.cancelled(now + RING)[1], respond(487));
    assert_eq!(call.media_opened(true, now + RING), []);
}

#[test]
fn a_call_without_a_socket_for_audio_is_rejected() {
    let (mut call, _, now) = call_to(Behaviour::Listens);
    call.tick(now + RING);
    assert_eq!(call.media_opened(false, now + RING)[0], respond(503));
}

#[test]
fn the_hanging_up_number_hangs_up_after_a_second_but_not_before_the_ack() {
    let (mut call, now) = answered(Behaviour::HangsUp);
    call.acknowledged(now);
    let done = run(&mut call, now, Duration::from_secs(2));
    assert_eq!(times_of(Step::Bye, &done), [1000]);
    assert_eq!(times_of(Step::RepeatBye, &done), [1500]);
    assert_eq!(call.bye_answered(100), []);
    assert_eq!(call.bye_answered(200), [Step::Forget]);

    let (mut call, now) = answered(Behaviour::HangsUp);
    let done = run(&mut call, now, Duration::from_secs(3));
    assert_eq!(times_of(Step::Bye, &done), []);
    let steps = call.acknowledged(now + Duration::from_secs(3));
    assert_eq!(steps[..2], [Step::Bye, Step::HungUp(Party::Callee)]);
}

#[test]
fn crossing_byes_end_the_call_once() {
    let (mut call, now) = answered(Behaviour::HangsUp);
    call.acknowledged(now);
    call.tick(now + Duration::from_secs(1));
    assert_eq!(call.hung_up(now + Duration::from_secs(1)), []);
    assert_eq!(call.bye_answered(481), [Step::Forget]);
}

#[test]
fn a_vanished_caller_is_hung_up_and_a_ring_is_limited() {
    let (mut call, now) = answered(Behaviour::Listens);
    call.acknowledged(now);
    let done = run(&mut call, now, Duration::from_secs(200));
    assert_eq!(times_of(Step::Bye, &done), [90_000]);
    assert_eq!(call.state, CallState::Over);

    let (mut call, _, now) = call_to(Behaviour::NeverAnswers);
    let done = run(&mut call, now, Duration::from_secs(400));
    assert_eq!(times_of(respond(480), &done), [180_000]);
    assert_eq!(call.state, CallState::Over);
}

#[test]
fn a_bye_before_the_ack_ends_the_call() {
    let (mut call, now) = answered(Behaviour::Listens);
    assert_eq!(call.hung_up(now)[0], Step::HungUp(Party::Caller));
    assert_eq!(call.state, CallState::Over);
}

#[test]
fn shutting_down_ends_every_call() {
    let (mut call, _, now) = call_to(Behaviour::NeverAnswers);
    assert_eq!(call.shut_down(now)[0], respond(503));
    assert_eq!(call.shut_down(now), []);
    let (mut call, now) = answered(Behaviour::Listens);
    assert_eq!(call.shut_down(now)[0], Step::Bye);
}
