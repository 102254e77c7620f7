//! One call's life on one gateway, from INVITE to its end.
//!
//! Pure: what the network said and what the clock shows come in, what to do comes out. The shell
//! around it owns sockets, timers and audio.

use std::time::{Duration, Instant};

pub mod acceptance;
pub mod breaker;
pub mod outcome;
pub mod steps;

/// Where a call stands.
///
/// | state | input | next | effects |
/// |---|---|---|---|
/// | Dialling | 1xx | Proceeding, or Ringing for 18x | `Accepted` |
/// | Dialling | rejection, silence, transport lost | Ended | `Ended(NotAccepted)` |
/// | Dialling, Proceeding, Ringing | 2xx | Speaking, or Asking where a key is required | `Accepted` (the first time), `Speak` or `AskForKey` |
/// | Asking | a key | Speaking | `Speak` |
/// | Asking | all played, far end hangs up, call deadline | Ended | `HangUp`, `Ended(PartialPlayback)` |
/// | Proceeding, Ringing | rejection | Ended | `Ended` by the code |
/// | Proceeding, Ringing | ring deadline | Ended | `Cancel`, `Ended(NoAnswer)` |
/// | Proceeding, Ringing | transport lost | Ended | `Ended(TransportLost)` |
/// | Speaking | a key, the first three times | Speaking | `Repeat` |
/// | Speaking | last digit of a reading | Speaking | notes that the code was read |
/// | Speaking | all played | Ended | `HangUp`, `Ended(Delivered)` |
/// | Speaking | far end hangs up | Ended | `Ended(Delivered)` once read, else `Ended(PartialPlayback)` |
/// | Asking, Speaking | no media path, transport lost | Ended | `HangUp`, `Ended(MediaLost)` or `Ended(TransportLost)`; `Delivered` once read |
/// | Speaking | call deadline | Ended | `HangUp`, as if the far end hung up |
/// | any but Ended | abandoned | Ended | `Cancel` or `HangUp`, `Ended(Abandoned)`; `Delivered` once read |
/// | Ended | anything | Ended | none: late and repeated news change nothing |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallState {
    /// INVITE sent, no answer of any kind yet.
    Dialling,
    /// A provisional answer came: the carrier has accepted the call.
    Proceeding,
    /// The phone rings (18x).
    Ringing,
    /// Answered; the code is read once a key was pressed, so that no voicemail hears it.
    Asking,
    /// Answered; the code is being read.
    Speaking,
    /// Over, for good.
    Ended,
}

/// What the network, the audio or the clock reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallInput {
    /// A 1xx answer.
    Provisional { code: u16 },
    /// A 2xx answer whose media path is usable.
    Answered,
    /// A final answer of 300 or more.
    Rejected {
        code: u16,
        retry_after_seconds: Option<u32>,
    },
    /// No answer of any kind within the gateway's time.
    Silent,
    /// The socket or connection to the gateway failed.
    TransportLost,
    /// The answer's media cannot be used, or the media path broke.
    MediaLost,
    /// The last digit of one reading has been sent.
    CodeRead,
    /// The phone pressed a key.
    KeyPressed,
    /// Everything to be said has been sent.
    Played,
    /// The far end sent BYE.
    RemoteHungUp,
    /// The process gives the call up: it is shutting down, or the request is gone.
    Abandoned,
}

/// What the shell is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallEffect {
    /// The carrier took the call: the customer may be told 202.
    Accepted,
    /// Ask for a key.
    AskForKey,
    /// Start reading the code.
    Speak,
    /// Read the code anew, for the n-th time that this was asked for.
    Repeat(u8),
    /// CANCEL the INVITE.
    Cancel,
    /// Send BYE.
    HangUp,
    /// The call is over.
    Ended(CallEnd),
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallEnd {
    /// Ended before the carrier accepted it.
    NotAccepted(Refusal),
    /// The code was read at least once to its last digit.
    Delivered,
    /// Answered, and hung up before the last digit of the first reading.
    PartialPlayback,
    /// Rejected after acceptance.
    Rejected { code: u16, after_ringing: bool },
    /// Rang until the ring timeout.
    NoAnswer,
    /// Answered, but no usable media path.
    MediaLost,
    /// The connection to the gateway broke after acceptance.
    TransportLost,
    /// Given up by this process.
    Abandoned,
}

/// Why a gateway did not accept a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No answer at all within the gateway's time.
    Silent,
    /// The transport failed.
    TransportLost,
    /// A final answer came at once.
    Rejected {
        code: u16,
        retry_after_seconds: Option<u32>,
    },
    /// Given up by this process before any answer.
    Abandoned,
}

impl Refusal {
    /// Whether another gateway may be tried: only for technical failures (timeout, transport
    /// error, 5xx, 408) and the carrier's own throttling. A number's own answer is final.
    pub fn may_fail_over(&self) -> bool {
        match self {
            Refusal::Silent | Refusal::TransportLost => true,
            Refusal::Rejected { code, .. } => matches!(code, 408 | 429 | 500..=599),
            Refusal::Abandoned => false,
        }
    }

    /// The carrier's own throttling: 503 or 429 that says when to come back, in seconds.
    pub fn throttled_seconds(&self) -> Option<u32> {
        match self {
            Refusal::Rejected {
                code: 429 | 503,
                retry_after_seconds,
            } => *retry_after_seconds,
            Refusal::Silent
            | Refusal::TransportLost
            | Refusal::Rejected { .. }
            | Refusal::Abandoned => None,
        }
    }
}

/// How long a call may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallLimits {
    /// From INVITE until the phone is given up unanswered.
    pub ring_timeout: Duration,
    /// From acceptance to the end, whatever happens. Below the 60 s that customers are promised.
    pub longest_call: Duration,
    /// Whether the code is read only once a key was pressed.
    pub require_keypress: bool,
}

/// How often a code is read anew because a key was pressed.
pub const MOST_REPEATS: u8 = 3;

/// One call on one gateway.
#[derive(Debug)]
pub struct Call {
    state: CallState,
    limits: CallLimits,
    dialled_at: Instant,
    accepted_at: Option<Instant>,
    rang: bool,
    code_read: bool,
    repeats: u8,
}

impl Call {
    /// A call whose INVITE is sent at `now`.
    pub fn dial(limits: CallLimits, now: Instant) -> Self {
        Self {
            state: CallState::Dialling,
            limits,
            dialled_at: now,
            accepted_at: None,
            rang: false,
            code_read: false,
            repeats: 0,
        }
    }

    pub fn state(&self) -> CallState {
        self.state
    }

    /// When [`Call::tick`] is due, if at all. Silence before acceptance is the transaction's timer.
    pub fn deadline(&self) -> Option<Instant> {
        let ring = self.dialled_at + self.limits.ring_timeout;
        let longest = self.accepted_at.map(|at| at + self.limits.longest_call);
        match self.state {
            CallState::Dialling => Some(ring),
            CallState::Proceeding | CallState::Ringing => {
                Some(longest.map_or(ring, |longest| ring.min(longest)))
            }
            CallState::Asking | CallState::Speaking => longest,
            CallState::Ended => None,
        }
    }

    /// Takes the time: gives up an unanswered call, or one that speaks too long.
    pub fn tick(&mut self, now: Instant) -> Vec<CallEffect> {
        if self.deadline().is_none_or(|due| now < due) {
            return Vec::new();
        }
        match self.state {
            CallState::Dialling => self.end(
                CallEnd::NotAccepted(Refusal::Silent),
                Some(CallEffect::Cancel),
            ),
            CallState::Proceeding | CallState::Ringing => {
                self.end(CallEnd::NoAnswer, Some(CallEffect::Cancel))
            }
            CallState::Asking | CallState::Speaking => {
                let end = self.end_of_speech(CallEnd::PartialPlayback);
                self.end(end, Some(CallEffect::HangUp))
            }
            CallState::Ended => Vec::new(),
        }
    }

    /// Takes one piece of news. Late and repeated news change nothing.
    pub fn step(&mut self, input: CallInput, now: Instant) -> Vec<CallEffect> {
        match self.state {
            CallState::Dialling => self.step_dialling(input, now),
            CallState::Proceeding | CallState::Ringing => self.step_accepted(input, now),
            CallState::Asking | CallState::Speaking => self.step_answered(input),
            CallState::Ended => Vec::new(),
        }
    }

    fn step_dialling(&mut self, input: CallInput, now: Instant) -> Vec<CallEffect> {
        match input {
            CallInput::Provisional { code } => {
                self.accept(now);
                self.note_provisional(code);
                vec![CallEffect::Accepted]
            }
            CallInput::Answered => {
                self.accept(now);
                vec![CallEffect::Accepted, self.answered()]
            }
            CallInput::MediaLost => {
                self.accept(now);
                let mut effects = vec![CallEffect::Accepted];
                effects.extend(self.end(CallEnd::MediaLost, Some(CallEffect::HangUp)));
                effects
            }
            CallInput::Rejected {
                code,
                retry_after_seconds,
            } => {
                let refusal = Refusal::Rejected {
                    code,
                    retry_after_seconds,
                };
                self.end(CallEnd::NotAccepted(refusal), None)
            }
            CallInput::Silent => self.end(CallEnd::NotAccepted(Refusal::Silent), None),
            CallInput::TransportLost => {
                self.end(CallEnd::NotAccepted(Refusal::TransportLost), None)
            }
            CallInput::Abandoned => self.end(
                CallEnd::NotAccepted(Refusal::Abandoned),
                Some(CallEffect::Cancel),
            ),
            CallInput::CodeRead
            | CallInput::KeyPressed
            | CallInput::Played
            | CallInput::RemoteHungUp => Vec::new(),
        }
    }

    fn step_accepted(&mut self, input: CallInput, now: Instant) -> Vec<CallEffect> {
        match input {
            CallInput::Provisional { code } => {
                self.note_provisional(code);
                Vec::new()
            }
            CallInput::Answered => {
                self.accept(now);
                vec![self.answered()]
            }
            CallInput::Rejected { code, .. } => {
                let after_ringing = self.rang;
                self.end(
                    CallEnd::Rejected {
                        code,
                        after_ringing,
                    },
                    None,
                )
            }
            CallInput::MediaLost => self.end(CallEnd::MediaLost, Some(CallEffect::HangUp)),
            CallInput::TransportLost => self.end(CallEnd::TransportLost, None),
            CallInput::Abandoned => self.end(CallEnd::Abandoned, Some(CallEffect::Cancel)),
            CallInput::RemoteHungUp => self.end(CallEnd::NoAnswer, None),
            CallInput::Silent => self.end(CallEnd::NoAnswer, Some(CallEffect::Cancel)),
            CallInput::CodeRead | CallInput::KeyPressed | CallInput::Played => Vec::new(),
        }
    }

    fn answered(&mut self) -> CallEffect {
        let (state, effect) = match self.limits.require_keypress {
            true => (CallState::Asking, CallEffect::AskForKey),
            false => (CallState::Speaking, CallEffect::Speak),
        };
        self.state = state;
        effect
    }

    fn key_pressed(&mut self) -> Vec<CallEffect> {
        if self.state == CallState::Asking {
            self.state = CallState::Speaking;
            return vec![CallEffect::Speak];
        }
        if self.repeats == MOST_REPEATS {
            return Vec::new();
        }
        self.repeats += 1;
        vec![CallEffect::Repeat(self.repeats)]
    }

    fn step_answered(&mut self, input: CallInput) -> Vec<CallEffect> {
        match input {
            CallInput::KeyPressed => self.key_pressed(),
            CallInput::CodeRead => {
                self.code_read = true;
                Vec::new()
            }
            CallInput::Played => {
                let end = self.end_of_speech(CallEnd::PartialPlayback);
                self.end(end, Some(CallEffect::HangUp))
            }
            CallInput::RemoteHungUp => {
                let end = self.end_of_speech(CallEnd::PartialPlayback);
                self.end(end, None)
            }
            CallInput::MediaLost => {
                let end = self.end_of_speech(CallEnd::MediaLost);
                self.end(end, Some(CallEffect::HangUp))
            }
            CallInput::TransportLost => {
                let end = self.end_of_speech(CallEnd::TransportLost);
                self.end(end, Some(CallEffect::HangUp))
            }
            CallInput::Abandoned => {
                let end = self.end_of_speech(CallEnd::Abandoned);
                self.end(end, Some(CallEffect::HangUp))
            }
            CallInput::Provisional { .. }
            | CallInput::Answered
            | CallInput::Rejected { .. }
            | CallInput::Silent => Vec::new(),
        }
    }

    fn accept(&mut self, now: Instant) {
        self.accepted_at.get_or_insert(now);
    }

    /// 18x other than 183 means a ringing phone; 183 is the network speaking.
    fn note_provisional(&mut self, code: u16) {
        if matches!(code, 180..=182) {
            self.rang = true;
        }
        self.state = if self.rang {
            CallState::Ringing
        } else {
            CallState::Proceeding
        };
    }

    fn end_of_speech(&self, otherwise: CallEnd) -> CallEnd {
        if self.code_read {
            CallEnd::Delivered
        } else {
            otherwise
        }
    }

    fn end(&mut self, end: CallEnd, before: Option<CallEffect>) -> Vec<CallEffect> {
        self.state = CallState::Ended;
        before.into_iter().chain([CallEffect::Ended(end)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CallLimits = CallLimits {
        ring_timeout: Duration::from_secs(30),
        longest_call: Duration::from_secs(57),
        require_keypress: false,
    };

    fn call_after(inputs: &[CallInput]) -> (Call, Instant) {
        let now = Instant::now();
        let mut call = Call::dial(LIMITS, now);
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
        let mut call = Call::dial(LIMITS, now);
        let story = [
            (TRYING, vec![CallEffect::Accepted]),
            (RINGING, vec![]),
            (RINGING, vec![]),
            (CallInput::Answered, vec![CallEffect::Speak]),
            (CallInput::Answered, vec![]),
            (CallInput::CodeRead, vec![]),
            (CallInput::CodeRead, vec![]),
            (
                CallInput::Played,
                vec![CallEffect::HangUp, CallEffect::Ended(CallEnd::Delivered)],
            ),
            (CallInput::RemoteHungUp, vec![]),
            (CallInput::Played, vec![]),
        ];
        for (input, effects) in story {
            assert_eq!(call.step(input.clone(), now), effects, "{input:?}");
        }
        assert_eq!(call.deadline(), None);
    }

    #[test]
    fn a_key_has_the_code_read_anew_three_times_at_most() {
        let (mut call, now) = call_after(&[TRYING, CallInput::Answered]);
        for n in 1..=3 {
            assert_eq!(
                call.step(CallInput::KeyPressed, now),
                [CallEffect::Repeat(n)]
            );
        }
        assert_eq!(call.step(CallInput::KeyPressed, now), []);
        assert_eq!(
            call.step(CallInput::Played, now),
            [
                CallEffect::HangUp,
                CallEffect::Ended(CallEnd::PartialPlayback)
            ],
            "no reading came to its last digit"
        );
    }

    #[test]
    fn where_a_key_is_required_the_code_is_read_only_after_one() {
        let limits = CallLimits {
            require_keypress: true,
            ..LIMITS
        };
        let answered = || {
            let now = Instant::now();
            let mut call = Call::dial(limits, now);
            let effects = call.step(CallInput::Answered, now);
            assert_eq!(effects, [CallEffect::Accepted, CallEffect::AskForKey]);
            assert_eq!(call.deadline(), Some(now + limits.longest_call));
            (call, now)
        };
        let (mut call, now) = answered();
        assert_eq!(call.step(CallInput::KeyPressed, now), [CallEffect::Speak]);
        assert_eq!(
            call.step(CallInput::KeyPressed, now),
            [CallEffect::Repeat(1)]
        );
        call.step(CallInput::CodeRead, now);
        assert_eq!(
            call.step(CallInput::RemoteHungUp, now),
            [CallEffect::Ended(CallEnd::Delivered)]
        );
        let partial = CallEffect::Ended(CallEnd::PartialPlayback);
        let (mut call, now) = answered();
        assert_eq!(
            call.step(CallInput::Played, now),
            [CallEffect::HangUp, partial.clone()],
            "a voicemail box presses no key"
        );
        let (mut call, now) = answered();
        let effects = call.step(CallInput::RemoteHungUp, now);
        assert_eq!(effects, vec![partial.clone()]);
        let (mut call, now) = answered();
        let late = now + limits.longest_call;
        assert_eq!(call.tick(late), [CallEffect::HangUp, partial]);
    }

    #[test]
    fn an_answer_without_a_provisional_is_accepted_and_spoken_to() {
        let (mut call, now) = call_after(&[]);
        assert_eq!(
            call.step(CallInput::Answered, now),
            [CallEffect::Accepted, CallEffect::Speak]
        );
    }

    #[test]
    fn a_hang_up_before_the_last_digit_is_partial_and_after_it_delivered() {
        let (mut call, now) = call_after(&[TRYING, CallInput::Answered]);
        assert_eq!(
            call.step(CallInput::RemoteHungUp, now),
            [CallEffect::Ended(CallEnd::PartialPlayback)]
        );
        let (mut call, now) = call_after(&[TRYING, CallInput::Answered, CallInput::CodeRead]);
        assert_eq!(
            call.step(CallInput::RemoteHungUp, now),
            [CallEffect::Ended(CallEnd::Delivered)]
        );
    }

    #[test]
    fn an_unanswered_phone_is_cancelled_at_the_ring_timeout() {
        let (mut call, now) = call_after(&[TRYING, RINGING]);
        let due = call.deadline().unwrap();
        assert_eq!(due, now + LIMITS.ring_timeout);
        assert_eq!(call.tick(due - Duration::from_millis(1)), []);
        assert_eq!(
            call.tick(due),
            [CallEffect::Cancel, CallEffect::Ended(CallEnd::NoAnswer)]
        );
        assert_eq!(call.tick(due), []);
        assert_eq!(call.step(CallInput::Answered, due), []);
    }

    #[test]
    fn early_media_is_no_answer_and_no_ringing() {
        let (mut call, now) = call_after(&[TRYING, CallInput::Provisional { code: 183 }]);
        assert_eq!(call.state(), CallState::Proceeding);
        assert_eq!(
            call.step(
                CallInput::Rejected {
                    code: 480,
                    retry_after_seconds: None
                },
                now
            ),
            [CallEffect::Ended(CallEnd::Rejected {
                code: 480,
                after_ringing: false
            })]
        );
    }

    #[test]
    fn a_call_that_speaks_too_long_is_hung_up_within_the_promise() {
        let (mut call, now) = call_after(&[TRYING, CallInput::Answered, CallInput::CodeRead]);
        let due = call.deadline().unwrap();
        assert_eq!(due, now + LIMITS.longest_call);
        assert_eq!(
            call.tick(due),
            [CallEffect::HangUp, CallEffect::Ended(CallEnd::Delivered)]
        );
    }

    #[test]
    fn only_technical_refusals_move_on_to_another_gateway() {
        let rejected = |code| Refusal::Rejected {
            code,
            retry_after_seconds: None,
        };
        for code in [408, 500, 502, 503, 504, 429] {
            assert!(rejected(code).may_fail_over(), "{code}");
        }
        for code in [302, 401, 403, 404, 480, 484, 486, 487, 600, 603, 604] {
            assert!(!rejected(code).may_fail_over(), "{code}");
        }
        assert!(Refusal::Silent.may_fail_over());
    }

    #[test]
    fn every_story_of_three_inputs_ends_at_most_once() {
        let inputs = [
            TRYING,
            RINGING,
            CallInput::Answered,
            CallInput::Rejected {
                code: 486,
                retry_after_seconds: None,
            },
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
                    let mut call = Call::dial(LIMITS, now);
                    let mut effects = Vec::new();
                    for input in [a, b, c] {
                        effects.extend(call.step(input.clone(), now));
                    }
                    let far = now + Duration::from_secs(61);
                    effects.extend(call.tick(far));
                    assert_eq!(
                        effects.iter().filter(|e| is_end(e)).count(),
                        1,
                        "{a:?} {b:?} {c:?}"
                    );
                    assert!(effects.iter().filter(|e| is_accepted(e)).count() <= 1);
                    assert_eq!(call.state(), CallState::Ended);
                }
            }
        }
    }
}
