use std::time::{Duration, Instant};

use super::{
    Call, CallEffect, CallEnd, CallInput, CallLimits, CallState, MAX_MEDIA_WAIT, ReadingTimes,
    Refusal, WeakChallenge,
};

const LIMITS: CallLimits = CallLimits {
    ring_timeout: Duration::from_secs(30),
    max_call: Duration::from_secs(57),
    require_keypress: false,
};

const READING: ReadingTimes =
    ReadingTimes { first: Duration::from_secs(10), repeated: Duration::from_secs(13) };

const MARGIN: Duration = Duration::from_millis(500);

fn call_after(inputs: &[CallInput]) -> (Call, Instant) {
    let now = Instant::now();
    let mut call = Call::dial(LIMITS, READING, now);
    for input in inputs {
        call.step(input.clone(), now);
    }
    (call, now)
}

const TRYING: CallInput = CallInput::Provisional { code: 100 };
const RINGING: CallInput = CallInput::Provisional { code: 180 };

#[test]
fn a_whole_call_is_accepted_once_and_delivered_once() {
    let now = Instant::now();
    let mut call = Call::dial(LIMITS, READING, now);
    let inputs = [
        (TRYING, vec![CallEffect::Accepted]),
        (RINGING, vec![]),
        (RINGING, vec![]),
        (CallInput::Answered, vec![CallEffect::Speak]),
        (CallInput::Answered, vec![]),
        (CallInput::CodeRead, vec![]),
        (CallInput::CodeRead, vec![]),
        (CallInput::Played, vec![CallEffect::HangUp, CallEffect::Ended(CallEnd::Delivered)]),
        (CallInput::RemoteHungUp, vec![]),
        (CallInput::Played, vec![]),
    ];
    for (input, effects) in inputs {
        assert_eq!(call.step(input.clone(), now), effects, "{input:?}");
    }
    assert_eq!(call.deadline(), None);
}

#[test]
fn a_key_repeats_the_code_three_times_at_most() {
    let (mut call, now) = call_after(&[TRYING, CallInput::Answered]);
    for n in 1..=3 {
        assert_eq!(call.step(CallInput::KeyPressed, now), [CallEffect::Repeat(n)]);
    }
    assert_eq!(call.step(CallInput::KeyPressed, now), []);
    assert_eq!(
        call.step(CallInput::Played, now),
        [CallEffect::HangUp, CallEffect::Ended(CallEnd::PartialPlayback)],
        "no reading reached its last digit"
    );
}

#[test]
fn if_a_key_is_required_the_code_is_read_only_after_a_key_press() {
    let limits = CallLimits { require_keypress: true, ..LIMITS };
    let answered = || {
        let now = Instant::now();
        let mut call = Call::dial(limits, READING, now);
        let effects = call.step(CallInput::Answered, now);
        assert_eq!(effects, [CallEffect::Accepted, CallEffect::AskForKey]);
        let last_start = now + limits.max_call - READING.first - MARGIN;
        assert_eq!(call.deadline(), Some(last_start));
        (call, now)
    };
    let (mut call, now) = answered();
    assert_eq!(call.step(CallInput::KeyPressed, now), [CallEffect::Speak]);
    assert_eq!(call.step(CallInput::KeyPressed, now), [CallEffect::Repeat(1)]);
    call.step(CallInput::CodeRead, now);
    assert_eq!(call.step(CallInput::RemoteHungUp, now), [CallEffect::Ended(CallEnd::Delivered)]);
    let partial = CallEffect::Ended(CallEnd::PartialPlayback);
    let (mut call, now) = answered();
    assert_eq!(
        call.step(CallInput::Played, now),
        [CallEffect::HangUp, partial.clone()],
        "a voicemail presses no key"
    );
    let (mut call, now) = answered();
    let effects = call.step(CallInput::RemoteHungUp, now);
    assert_eq!(effects, vec![partial.clone()]);
    let (mut call, now) = answered();
    let late = now + limits.max_call - READING.first - MARGIN;
    let cut = [CallEffect::HangUp, CallEffect::Ended(CallEnd::TimeLimit)];
    assert_eq!(call.tick(late), cut, "too late for a reading");
    let (mut call, _) = answered();
    assert_eq!(call.step(CallInput::KeyPressed, late), [CallEffect::Speak]);
    let (mut call, _) = answered();
    let too_late = late + Duration::from_millis(1);
    assert_eq!(call.step(CallInput::KeyPressed, too_late), cut);
}

#[test]
fn without_time_for_a_reading_no_key_is_asked_for() {
    let limits = CallLimits { require_keypress: true, ..LIMITS };
    let now = Instant::now();
    let mut call = Call::dial(limits, READING, now);
    call.step(TRYING, now);
    let late = now + limits.max_call - READING.first - MARGIN + Duration::from_millis(1);
    assert_eq!(
        call.step(CallInput::Answered, late),
        [CallEffect::HangUp, CallEffect::Ended(CallEnd::TimeLimit)]
    );
}

#[test]
fn a_key_that_leaves_no_time_for_a_repetition_does_not_stop_the_reading() {
    let (mut call, now) = call_after(&[TRYING, CallInput::Answered]);
    let late = now + LIMITS.max_call - READING.repeated - MARGIN;
    assert!(!call.takes_keys(late + Duration::from_millis(1)));
    assert_eq!(call.step(CallInput::KeyPressed, late + Duration::from_millis(1)), []);
    assert!(call.takes_keys(late));
    assert_eq!(call.step(CallInput::KeyPressed, late), [CallEffect::Repeat(1)]);
}

#[test]
fn an_answer_without_a_provisional_response_is_accepted_and_the_code_is_read() {
    let (mut call, now) = call_after(&[]);
    assert_eq!(call.step(CallInput::Answered, now), [CallEffect::Accepted, CallEffect::Speak]);
}

#[test]
fn a_hang_up_before_the_last_digit_is_partial_and_after_it_delivered() {
    let (mut call, now) = call_after(&[TRYING, CallInput::Answered]);
    assert_eq!(
        call.step(CallInput::RemoteHungUp, now),
        [CallEffect::Ended(CallEnd::PartialPlayback)]
    );
    let (mut call, now) = call_after(&[TRYING, CallInput::Answered, CallInput::CodeRead]);
    assert_eq!(call.step(CallInput::RemoteHungUp, now), [CallEffect::Ended(CallEnd::Delivered)]);
}

#[test]
fn an_unanswered_phone_is_cancelled_at_the_ring_timeout() {
    let (mut call, now) = call_after(&[TRYING, RINGING]);
    let due = call.deadline().unwrap();
    assert_eq!(due, now + LIMITS.ring_timeout);
    assert_eq!(call.tick(due - Duration::from_millis(1)), []);
    assert_eq!(call.tick(due), [CallEffect::Cancel, CallEffect::Ended(CallEnd::NoAnswer)]);
    assert_eq!(call.tick(due), []);
    assert_eq!(call.step(CallInput::Answered, due), []);
}

#[test]
fn early_media_is_neither_an_answer_nor_ringing() {
    let (mut call, now) = call_after(&[TRYING, CallInput::Provisional { code: 183 }]);
    assert_eq!(call.state(), CallState::Proceeding);
    assert_eq!(
        call.step(CallInput::Rejected { code: 480, retry_after_seconds: None }, now),
        [CallEffect::Ended(CallEnd::Rejected { code: 480, after_ringing: false })]
    );
}

#[test]
fn a_call_that_lasts_too_long_is_hung_up_at_its_limit() {
    let (mut call, now) = call_after(&[TRYING, CallInput::Answered, CallInput::CodeRead]);
    let due = call.deadline().unwrap();
    assert_eq!(due, now + LIMITS.max_call);
    assert_eq!(call.tick(due), [CallEffect::HangUp, CallEffect::Ended(CallEnd::Delivered)]);
}

#[test]
fn only_technical_refusals_move_on_to_another_gateway() {
    let rejected = |code| Refusal::Rejected { code, retry_after_seconds: None };
    for code in [408, 500, 502, 503, 504, 429] {
        assert!(rejected(code).may_fail_over(), "{code}");
    }
    for code in [302, 401, 403, 404, 480, 484, 486, 487, 600, 603, 604] {
        assert!(!rejected(code).may_fail_over(), "{code}");
    }
    assert!(Refusal::Silent.may_fail_over());
    let weak = WeakChallenge { code: 401, offered: "md5", required: "sha-256" };
    assert!(Refusal::WeakChallenge(weak).may_fail_over());
    let now = Instant::now();
    let mut call = Call::dial(LIMITS, READING, now);
    assert_eq!(
        call.step(CallInput::WeakChallenge(weak), now),
        [CallEffect::Ended(CallEnd::NotAccepted(Refusal::WeakChallenge(weak)))]
    );
}

#[test]
fn every_sequence_of_three_inputs_ends_exactly_once() {
    let inputs = [
        TRYING,
        RINGING,
        CallInput::Answered,
        CallInput::AnsweredOnHold,
        CallInput::MediaReady,
        CallInput::Rejected { code: 486, retry_after_seconds: None },
        CallInput::Silent,
        CallInput::TransportLost,
        CallInput::MediaLost,
        CallInput::CodeRead,
        CallInput::KeyPressed,
        CallInput::Played,
        CallInput::RemoteHungUp,
        CallInput::Abandoned,
    ];
    let is_end = |e: &CallEffect| matches!(e, CallEffect::Ended(_));
    let is_accepted = |e: &CallEffect| matches!(e, CallEffect::Accepted);
    for a in &inputs {
        for b in &inputs {
            for c in &inputs {
                let now = Instant::now();
                let mut call = Call::dial(LIMITS, READING, now);
                let mut effects = Vec::new();
                for input in [a, b, c] {
                    effects.extend(call.step(input.clone(), now));
                }
                let far = now + Duration::from_secs(61);
                effects.extend(call.tick(far));
                assert_eq!(effects.iter().filter(|e| is_end(e)).count(), 1, "{a:?} {b:?} {c:?}");
                assert!(effects.iter().filter(|e| is_accepted(e)).count() <= 1);
                assert_eq!(call.state(), CallState::Ended);
            }
        }
    }
}

#[test]
fn a_hold_that_delays_the_reading_past_the_limit_is_partial() {
    for (inputs, end) in [
        (&[TRYING, CallInput::Answered][..], CallEnd::TimeLimit),
        (&[TRYING, CallInput::Answered, CallInput::Held], CallEnd::PartialPlayback),
        (&[TRYING, CallInput::Answered, CallInput::CodeRead, CallInput::Held], CallEnd::Delivered),
    ] {
        let (mut call, now) = call_after(inputs);
        let due = now + LIMITS.max_call;
        assert_eq!(call.tick(due), [CallEffect::HangUp, CallEffect::Ended(end)]);
    }
}

#[test]
fn a_call_answered_on_hold_is_read_once_its_media_are_ready() {
    for (require_keypress, effect) in [(false, CallEffect::Speak), (true, CallEffect::AskForKey)] {
        let now = Instant::now();
        let mut call = Call::dial(CallLimits { require_keypress, ..LIMITS }, READING, now);
        assert_eq!(call.step(CallInput::AnsweredOnHold, now), [CallEffect::Accepted]);
        assert_eq!(call.state(), CallState::AwaitingMedia);
        assert_eq!(call.step(CallInput::Held, now), []);
        let later = now + Duration::from_millis(500);
        assert_eq!(call.step(CallInput::MediaReady, later), [effect]);
        assert_eq!(call.step(CallInput::MediaReady, later), []);
    }
}

#[test]
fn a_call_without_media_ends_as_lost_whatever_ends_it() {
    let lost = CallEffect::Ended(CallEnd::MediaLost);
    let answered = || call_after(&[TRYING, RINGING, CallInput::AnsweredOnHold]);
    let (mut call, now) = answered();
    assert_eq!(call.step(CallInput::RemoteHungUp, now), std::slice::from_ref(&lost));
    let (mut call, now) = answered();
    let due = now + MAX_MEDIA_WAIT;
    assert_eq!(call.deadline(), Some(due));
    assert_eq!(call.tick(due), [CallEffect::HangUp, lost.clone()]);
    // Too late for a reading.
    let (mut call, now) = call_after(&[TRYING, RINGING]);
    let last_start = now + LIMITS.max_call - READING.first - MARGIN;
    call.step(CallInput::AnsweredOnHold, last_start - Duration::from_secs(1));
    assert_eq!(call.tick(last_start), [CallEffect::HangUp, lost]);
}

#[test]
fn unusable_media_before_the_answer_end_the_call() {
    let (mut call, now) = call_after(&[TRYING]);
    assert_eq!(
        call.step(CallInput::MediaLost, now),
        [CallEffect::HangUp, CallEffect::Ended(CallEnd::MediaLost)]
    );
}
