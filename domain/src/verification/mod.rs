//! Verify: a code that the gateway makes, sends and checks.
//!
//! | event | pending | closed, or expired by the time |
//! |---|---|---|
//! | a check with the right code | `approved` | refused |
//! | a check with a wrong code | one attempt fewer; `failed` after the fifth | refused |
//! | a resend | one send more; refused after the fifth | refused |
//! | a cancel, or a new verification of the account for the phone | `canceled` | refused |
//! | the job that marks expired ones | unchanged before the end | `expired` |
//!
//! A verification is over from the moment of its end on, also before it is marked. The store carries out each event as
//! one conditional statement that follows this table.

use thiserror::Error;

use crate::schema::{schema, serialize_as_word, words};

pub mod answer;
pub mod code;

/// How many wrong codes a verification endures. The last of them makes it `failed`.
pub const MAX_ATTEMPTS: u8 = 5;
/// How many calls may read the code.
pub const MAX_SENDS: u8 = 5;
/// How long a code is valid, in seconds: the least, the most, and without a choice.
pub const MIN_TTL_SECONDS: u32 = 60;
pub const MAX_TTL_SECONDS: u32 = 900;
pub const DEFAULT_TTL_SECONDS: u32 = 300;

/// The status of a verification, as in the API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// The code can be checked. The only status that is not final.
    Pending,
    /// The right code was checked.
    Approved,
    /// [`MAX_ATTEMPTS`] wrong codes were checked.
    Failed,
    /// Nothing of this happened in time.
    Expired,
    /// By the customer, or by a new verification for the phone.
    Canceled,
}

impl Status {
    pub const ALL: [Status; 5] =
        [Status::Pending, Status::Approved, Status::Failed, Status::Expired, Status::Canceled];

    /// The status with this name, such as `pending`.
    pub fn named(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Approved => "approved",
            Status::Failed => "failed",
            Status::Expired => "expired",
            Status::Canceled => "canceled",
        }
    }
}

schema!(
    Status,
    "VerificationStatus",
    words(
        "`pending` until the code is checked, the attempts are used up, the time is over or it is canceled.",
        Status::ALL.map(Status::as_str)
    )
);
serialize_as_word!(Status, Status::as_str);

/// What may happen to a verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Check { is_right: bool },
    Resend,
    Cancel,
    Expire,
}

/// Why an event changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Refusal {
    #[error("the verification is {}", .0.as_str())]
    Closed(Status),
    #[error("the code was sent {MAX_SENDS} times")]
    TooManySends,
    #[error("the code is still valid")]
    NotExpired,
}

/// The changing part of a verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// As it is stored: [`State::status_at`] also looks at the time.
    pub status: Status,
    /// The wrong codes so far.
    pub attempts: u8,
    /// The calls so far.
    pub sends: u8,
    /// From this moment on it is over. Unix milliseconds.
    pub expires_at_ms: i64,
}

impl State {
    /// A verification whose code is sent for the first time.
    pub fn new(expires_at_ms: i64) -> State {
        State { status: Status::Pending, attempts: 0, sends: 1, expires_at_ms }
    }

    pub fn status_at(&self, now_ms: i64) -> Status {
        match self.status {
            Status::Pending if now_ms >= self.expires_at_ms => Status::Expired,
            status => status,
        }
    }

    pub fn attempts_left(&self) -> u8 {
        MAX_ATTEMPTS.saturating_sub(self.attempts)
    }

    /// Carries out an event.
    ///
    /// # Errors
    /// Why it changes nothing.
    pub fn step(&mut self, event: Event, now_ms: i64) -> Result<(), Refusal> {
        match (self.status_at(now_ms), event) {
            (Status::Pending, Event::Check { is_right: true }) => self.status = Status::Approved,
            (Status::Pending, Event::Check { is_right: false }) => {
                self.attempts += 1;
                if self.attempts >= MAX_ATTEMPTS {
                    self.status = Status::Failed;
                }
            }
            (Status::Pending, Event::Resend) if self.sends >= MAX_SENDS => {
                return Err(Refusal::TooManySends);
            }
            (Status::Pending, Event::Resend) => self.sends += 1,
            (Status::Pending, Event::Cancel) => self.status = Status::Canceled,
            (Status::Pending, Event::Expire) => return Err(Refusal::NotExpired),
            (Status::Expired, Event::Expire) if self.status == Status::Pending => {
                self.status = Status::Expired;
            }
            (
                closed @ (Status::Approved | Status::Failed | Status::Expired | Status::Canceled),
                Event::Check { .. } | Event::Resend | Event::Cancel | Event::Expire,
            ) => return Err(Refusal::Closed(closed)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const END_MS: i64 = 1_000_000;
    const WRONG: Event = Event::Check { is_right: false };
    const RIGHT: Event = Event::Check { is_right: true };

    #[test]
    fn the_fifth_wrong_code_fails_and_a_right_one_before_it_approves_once() {
        let mut state = State::new(END_MS);
        for left in [4, 3, 2, 1] {
            assert_eq!(state.step(WRONG, 0), Ok(()));
            assert_eq!((state.status, state.attempts_left()), (Status::Pending, left));
        }
        let mut approved = state;
        assert_eq!(approved.step(RIGHT, 0), Ok(()));
        assert_eq!(approved.step(RIGHT, 0), Err(Refusal::Closed(Status::Approved)));
        assert_eq!(state.step(WRONG, 0), Ok(()));
        assert_eq!((state.status, state.attempts_left()), (Status::Failed, 0));
        assert_eq!(state.step(RIGHT, 0), Err(Refusal::Closed(Status::Failed)));
    }

    #[test]
    fn the_code_is_sent_five_times() {
        let mut state = State::new(END_MS);
        for _ in 1..MAX_SENDS {
            assert_eq!(state.step(Event::Resend, 0), Ok(()));
        }
        assert_eq!(state.step(Event::Resend, 0), Err(Refusal::TooManySends));
        assert_eq!(state.step(RIGHT, 0), Ok(()));
    }

    #[test]
    fn it_is_over_at_its_end_before_it_is_marked() {
        let mut state = State::new(END_MS);
        assert_eq!(state.step(Event::Expire, END_MS - 1), Err(Refusal::NotExpired));
        assert_eq!(state.status_at(END_MS), Status::Expired);
        for event in [WRONG, RIGHT, Event::Resend, Event::Cancel] {
            assert_eq!(state.step(event, END_MS), Err(Refusal::Closed(Status::Expired)));
        }
        assert_eq!(state.status, Status::Pending);
        assert_eq!(state.step(Event::Expire, END_MS), Ok(()));
        assert_eq!(state.status, Status::Expired);
        assert_eq!(state.step(Event::Expire, END_MS), Err(Refusal::Closed(Status::Expired)));
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(WRONG),
            1 => Just(RIGHT),
            3 => Just(Event::Resend),
            1 => Just(Event::Cancel),
            1 => Just(Event::Expire),
        ]
    }

    proptest! {
        #[test]
        fn a_closed_one_never_changes_and_the_limits_hold(
            events in prop::collection::vec((event(), 0..2 * END_MS), 0..40),
        ) {
            let (mut state, mut now_ms, mut approvals) = (State::new(END_MS), 0, 0);
            for (event, at_ms) in events {
                now_ms = now_ms.max(at_ms);
                let before = state;
                let stepped = state.step(event, now_ms);
                approvals += usize::from(stepped == Ok(()) && event == RIGHT);
                if before.status != Status::Pending || stepped.is_err() {
                    prop_assert_eq!(state, before);
                }
                prop_assert!(state.attempts <= MAX_ATTEMPTS && state.sends <= MAX_SENDS);
                prop_assert_eq!(state.attempts == MAX_ATTEMPTS, state.status == Status::Failed);
            }
            prop_assert!(approvals <= 1);
        }
    }
}
