//! The state machine of one call on one gateway, from INVITE to its end.
//!
//! Inputs are what the network and the audio report, and the time. Outputs are effects. The caller owns sockets, timers
//! and audio.

use std::time::{Duration, Instant};

use crate::call::end::{CallEnd, Refusal, WeakChallenge};
use crate::call::signals::{CallEffect, CallInput};

/// The state of a call.
///
/// | state | input | next | effects |
/// |---|---|---|---|
/// | Dialling | 1xx | Proceeding, or Ringing for 18x | `Accepted` |
/// | Dialling | rejection, silence, transport lost | Ended | `Ended(NotAccepted)` |
/// | Dialling, Proceeding, Ringing | 2xx | Speaking, or AwaitingKey if a key is required | `Accepted` (the first time), `Speak` or `AskForKey` |
/// | Dialling, Proceeding, Ringing | 2xx without a media path so far | AwaitingMedia | `Accepted` (the first time) |
/// | AwaitingMedia | the media path is usable | Speaking, or AwaitingKey if a key is required | `Speak` or `AskForKey` |
/// | AwaitingMedia | far end hangs up, [`MAX_MEDIA_WAIT`] is over, or less than a reading's time is left | Ended | `HangUp`, `Ended(MediaLost)` |
/// | Dialling, Proceeding, Ringing | the media that the far end announces are unusable | Ended | `HangUp`, `Ended(MediaLost)` |
/// | Proceeding, Ringing | 2xx, a key is required, and less than a reading's time is left | Ended | `HangUp`, `Ended(TimeLimit)` |
/// | AwaitingKey | a key | Speaking | `Speak` |
/// | AwaitingKey | all played, far end hangs up | Ended | `HangUp`, `Ended(PartialPlayback)` |
/// | AwaitingKey | less than a reading's time is left | Ended | `HangUp`, `Ended(TimeLimit)` |
/// | Proceeding, Ringing | rejection | Ended | `Ended` by the code |
/// | Proceeding, Ringing | ring deadline | Ended | `Cancel`, `Ended(NoAnswer)` |
/// | Proceeding, Ringing | transport lost | Ended | `Ended(TransportLost)` |
/// | Speaking | a key, the first three times, if a reading's time is left | Speaking | `Repeat` |
/// | Speaking | last digit of a reading | Speaking | none: records that the code was read |
/// | Speaking | all played | Ended | `HangUp`, `Ended(Delivered)` |
/// | Speaking | far end hangs up | Ended | `Ended(Delivered)` if the code was read, else `Ended(PartialPlayback)` |
/// | AwaitingMedia, AwaitingKey, Speaking | no media path, transport lost | Ended | `HangUp`, `Ended(MediaLost)` or `Ended(TransportLost)`; `Delivered` if the code was read |
/// | Speaking | call deadline | Ended | `HangUp`, `Ended(Delivered)` if the code was read, else `Ended(TimeLimit)`, or `Ended(PartialPlayback)` if the far end held the call |
/// | any except Ended | abandoned | Ended | `Cancel` or `HangUp`, `Ended(Abandoned)`; `Delivered` if the code was read |
/// | Ended | any | Ended | none: late and repeated inputs have no effect |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallState {
    /// INVITE sent, no response yet.
    Dialling,
    /// A provisional response arrived: the carrier has accepted the call.
    Proceeding,
    /// The phone rings (18x).
    Ringing,
    /// Answered, but the far end holds the call or has not said where to send the audio.
    AwaitingMedia,
    /// Answered; the code is read after a key press, so that it is not read to a voicemail.
    AwaitingKey,
    /// Answered; the code is being read.
    Speaking,
    /// Ended. Final.
    Ended,
}

/// The limits of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallLimits {
    /// From the INVITE until an unanswered call is cancelled.
    pub ring_timeout: Duration,
    /// From the acceptance to the end, in any state. Below the documented maximum of 60 s.
    pub max_call: Duration,
    /// Whether the code is read only after a key was pressed.
    pub require_keypress: bool,
}

/// How long the readings of a code take, from the answer or the key press to the last digit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadingTimes {
    pub first: Duration,
    /// Of a repetition, which is slower.
    pub repeated: Duration,
}

/// How long an answered call waits for a media path.
pub const MAX_MEDIA_WAIT: Duration = Duration::from_secs(10);

/// How many times a key press repeats the code.
pub const MAX_REPEATS: u8 = 3;

/// One call on one gateway.
#[derive(Debug)]
pub struct Call {
    state: CallState,
    limits: CallLimits,
    reading_times: ReadingTimes,
    dialled_at: Instant,
    accepted_at: Option<Instant>,
    /// Until when an answered call waits for a media path.
    media_until: Option<Instant>,
    has_rung: bool,
    is_code_read: bool,
    was_held: bool,
    repeats: u8,
}

/// Time to spare when a reading starts, so that a delayed packet does not cut its last digit.
const READING_MARGIN: Duration = Duration::from_millis(500);

impl Call {
    /// A call whose INVITE is sent at `now`.
    pub fn dial(limits: CallLimits, reading_times: ReadingTimes, now: Instant) -> Self {
        Self {
            state: CallState::Dialling,
            limits,
            reading_times,
            dialled_at: now,
            accepted_at: None,
            media_until: None,
            has_rung: false,
            is_code_read: false,
            was_held: false,
            repeats: 0,
        }
    }

    pub fn state(&self) -> CallState {
        self.state
    }

    /// When [`Call::tick`] is due. Silence before acceptance is detected by the transaction's timer.
    pub fn deadline(&self) -> Option<Instant> {
        let ring = self.dialled_at + self.limits.ring_timeout;
        let end = self.accepted_at.map(|at| at + self.limits.max_call);
        let last_start =
            end.and_then(|end| end.checked_sub(self.reading_times.first + READING_MARGIN));
        match self.state {
            CallState::Dialling => Some(ring),
            CallState::Proceeding | CallState::Ringing => {
                Some(end.map_or(ring, |end| ring.min(end)))
            }
            CallState::AwaitingMedia => last_start.into_iter().chain(self.media_until).min(),
            CallState::AwaitingKey => last_start,
            CallState::Speaking => end,
            CallState::Ended => None,
        }
    }

    /// Whether this much time is left before the call has to end.
    fn has_time(&self, needed: Duration, now: Instant) -> bool {
        let end = self.accepted_at.map(|at| at + self.limits.max_call);
        end.is_none_or(|end| now + needed + READING_MARGIN <= end)
    }

    /// Ends a call whose deadline has passed: an unanswered call, or one that lasts too long.
    pub fn tick(&mut self, now: Instant) -> Vec<CallEffect> {
        if self.deadline().is_none_or(|due| now < due) {
            return Vec::new();
        }
        match self.state {
            CallState::Dialling => {
                self.end(CallEnd::NotAccepted(Refusal::Silent), Some(CallEffect::Cancel))
            }
            CallState::Proceeding | CallState::Ringing => {
                self.end(CallEnd::NoAnswer, Some(CallEffect::Cancel))
            }
            CallState::AwaitingMedia => self.end(CallEnd::MediaLost, Some(CallEffect::HangUp)),
            CallState::AwaitingKey | CallState::Speaking => {
                let end = match self.was_held && self.state == CallState::Speaking {
                    true => CallEnd::PartialPlayback,
                    false => CallEnd::TimeLimit,
                };
                let end = self.end_of_speech(end);
                self.end(end, Some(CallEffect::HangUp))
            }
            CallState::Ended => Vec::new(),
        }
    }

    /// Handles an input. Late and repeated inputs have no effect.
    pub fn step(&mut self, input: CallInput, now: Instant) -> Vec<CallEffect> {
        match self.state {
            CallState::Dialling => self.step_dialling(input, now),
            CallState::Proceeding | CallState::Ringing => self.step_accepted(input, now),
            CallState::AwaitingMedia => self.step_awaiting_media(input, now),
            CallState::AwaitingKey | CallState::Speaking => self.step_answered(input, now),
            CallState::Ended => Vec::new(),
        }
    }

    fn step_dialling(&mut self, input: CallInput, now: Instant) -> Vec<CallEffect> {
        match input {
            CallInput::Provisional { code } => {
                self.accept(now);
                self.handle_provisional(code);
                vec![CallEffect::Accepted]
            }
            CallInput::Answered => {
                self.accept(now);
                let mut effects = vec![CallEffect::Accepted];
                effects.extend(self.answered(now));
                effects
            }
            CallInput::AnsweredOnHold => {
                self.accept(now);
                self.await_media(now);
                vec![CallEffect::Accepted]
            }
            CallInput::MediaLost => {
                self.accept(now);
                let mut effects = vec![CallEffect::Accepted];
                effects.extend(self.end(CallEnd::MediaLost, Some(CallEffect::HangUp)));
                effects
            }
            CallInput::Rejected { code, retry_after_seconds } => {
                let refusal = Refusal::Rejected { code, retry_after_seconds };
                self.end(CallEnd::NotAccepted(refusal), None)
            }
            CallInput::WeakChallenge(challenge) => {
                let refusal = Refusal::WeakChallenge(challenge);
                self.end(CallEnd::NotAccepted(refusal), None)
            }
            CallInput::Silent => self.end(CallEnd::NotAccepted(Refusal::Silent), None),
            CallInput::TransportLost => {
                self.end(CallEnd::NotAccepted(Refusal::TransportLost), None)
            }
            CallInput::Abandoned => {
                self.end(CallEnd::NotAccepted(Refusal::Abandoned), Some(CallEffect::Cancel))
            }
            CallInput::MediaReady
            | CallInput::CodeRead
            | CallInput::KeyPressed
            | CallInput::Played
            | CallInput::Held
            | CallInput::RemoteHungUp => Vec::new(),
        }
    }

    fn step_accepted(&mut self, input: CallInput, now: Instant) -> Vec<CallEffect> {
        match input {
            CallInput::Provisional { code } => {
                self.handle_provisional(code);
                Vec::new()
            }
            CallInput::Answered => {
                self.accept(now);
                self.answered(now)
            }
            CallInput::AnsweredOnHold => {
                self.accept(now);
                self.await_media(now);
                Vec::new()
            }
            CallInput::Rejected { code, .. }
            | CallInput::WeakChallenge(WeakChallenge { code, .. }) => {
                let after_ringing = self.has_rung;
                self.end(CallEnd::Rejected { code, after_ringing }, None)
            }
            CallInput::MediaLost => self.end(CallEnd::MediaLost, Some(CallEffect::HangUp)),
            CallInput::TransportLost => self.end(CallEnd::TransportLost, None),
            CallInput::Abandoned => self.end(CallEnd::Abandoned, Some(CallEffect::Cancel)),
            CallInput::RemoteHungUp => self.end(CallEnd::NoAnswer, None),
            CallInput::Silent => self.end(CallEnd::NoAnswer, Some(CallEffect::Cancel)),
            CallInput::MediaReady
            | CallInput::CodeRead
            | CallInput::KeyPressed
            | CallInput::Played
            | CallInput::Held => Vec::new(),
        }
    }

    fn await_media(&mut self, now: Instant) {
        self.state = CallState::AwaitingMedia;
        self.media_until = Some(now + MAX_MEDIA_WAIT);
    }

    /// Nothing was sent so far, so that the callee is not at fault for any end.
    fn step_awaiting_media(&mut self, input: CallInput, now: Instant) -> Vec<CallEffect> {
        match input {
            CallInput::MediaReady => self.answered(now),
            CallInput::RemoteHungUp => self.end(CallEnd::MediaLost, None),
            CallInput::MediaLost => self.end(CallEnd::MediaLost, Some(CallEffect::HangUp)),
            CallInput::TransportLost => self.end(CallEnd::TransportLost, Some(CallEffect::HangUp)),
            CallInput::Abandoned => self.end(CallEnd::Abandoned, Some(CallEffect::HangUp)),
            CallInput::Provisional { .. }
            | CallInput::Answered
            | CallInput::AnsweredOnHold
            | CallInput::Rejected { .. }
            | CallInput::WeakChallenge(_)
            | CallInput::Silent
            | CallInput::CodeRead
            | CallInput::KeyPressed
            | CallInput::Played
            | CallInput::Held => Vec::new(),
        }
    }

    fn answered(&mut self, now: Instant) -> Vec<CallEffect> {
        if !self.limits.require_keypress {
            self.state = CallState::Speaking;
            return vec![CallEffect::Speak];
        }
        if !self.has_time(self.reading_times.first, now) {
            return self.end(CallEnd::TimeLimit, Some(CallEffect::HangUp));
        }
        self.state = CallState::AwaitingKey;
        vec![CallEffect::AskForKey]
    }

    /// Whether a key could change anything from now on.
    pub fn takes_keys(&self, now: Instant) -> bool {
        match self.state {
            CallState::AwaitingMedia | CallState::AwaitingKey => true,
            CallState::Speaking => self.may_repeat(now),
            CallState::Dialling | CallState::Proceeding | CallState::Ringing | CallState::Ended => {
                false
            }
        }
    }

    fn may_repeat(&self, now: Instant) -> bool {
        self.repeats < MAX_REPEATS && self.has_time(self.reading_times.repeated, now)
    }

    fn key_pressed(&mut self, now: Instant) -> Vec<CallEffect> {
        if self.state == CallState::AwaitingKey {
            if !self.has_time(self.reading_times.first, now) {
                return self.end(CallEnd::TimeLimit, Some(CallEffect::HangUp));
            }
            self.state = CallState::Speaking;
            return vec![CallEffect::Speak];
        }
        // The reading in progress goes on.
        if !self.may_repeat(now) {
            return Vec::new();
        }
        self.repeats += 1;
        vec![CallEffect::Repeat(self.repeats)]
    }

    fn step_answered(&mut self, input: CallInput, now: Instant) -> Vec<CallEffect> {
        match input {
            CallInput::KeyPressed => self.key_pressed(now),
            CallInput::CodeRead => {
                self.is_code_read = true;
                Vec::new()
            }
            CallInput::Held => {
                self.was_held = true;
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
            | CallInput::AnsweredOnHold
            | CallInput::MediaReady
            | CallInput::Rejected { .. }
            | CallInput::WeakChallenge(_)
            | CallInput::Silent => Vec::new(),
        }
    }

    fn accept(&mut self, now: Instant) {
        self.accepted_at.get_or_insert(now);
    }

    /// 180 to 182 mean that the phone rings. 183 is early media of the network.
    fn handle_provisional(&mut self, code: u16) {
        if matches!(code, 180..=182) {
            self.has_rung = true;
        }
        self.state = if self.has_rung { CallState::Ringing } else { CallState::Proceeding };
    }

    fn end_of_speech(&self, otherwise: CallEnd) -> CallEnd {
        if self.is_code_read { CallEnd::Delivered } else { otherwise }
    }

    fn end(&mut self, end: CallEnd, before: Option<CallEffect>) -> Vec<CallEffect> {
        self.state = CallState::Ended;
        before.into_iter().chain([CallEffect::Ended(end)]).collect()
    }
}
