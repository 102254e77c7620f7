//! The state machine of one received call, from its INVITE to its end: the callee's side of RFC
//! 3261 §13.3 and §15, and of the INVITE server transaction (§17.2.1, RFC 6026). It follows a
//! [`Script`].
//!
//! No I/O: it receives requests and the time, and returns steps.

use std::time::{Duration, Instant};

use crate::sandbox::behaviour::{Playback, Script, Then};
use crate::sandbox::events::Party;

/// RFC 3261 §17.1.1.1: the round trip time estimate.
pub(crate) const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.1: the maximum retransmission interval.
const T2: Duration = Duration::from_secs(4);
/// When a transaction without an answer is abandoned (timers F and H), and for how long
/// retransmitted requests are expected (timers J and L).
pub(crate) const TRANSACTION_LIFETIME: Duration = T1.saturating_mul(64);
/// The longest ring (RFC 3261 §16.6, timer C).
const MAX_RING_TIME: Duration = Duration::from_secs(180);

/// The state of a call.
///
/// | state | input | next | steps |
/// |---|---|---|---|
/// | Early | script's time: reject | Rejected | `Respond` |
/// | Early | script's time: answer | Opening | `OpenMedia` |
/// | Early, Opening | CANCEL or BYE | Rejected | `Respond` 487 |
/// | Early | the longest ring is over | Rejected | `Respond` 480 |
/// | Opening | media opened | Answered | `Answer` |
/// | Opening | no media available | Rejected | `Respond` 503 |
/// | Early, Rejected, Answered | INVITE retransmitted | same | `RepeatResponse` |
/// | Rejected, Answered | interval elapsed | same | `RepeatResponse`; the interval doubles up to T2 |
/// | Rejected | ACK, or none for 64·T1 | Over | `Forget` |
/// | Answered | ACK | Talking, or HangingUp if it is time | |
/// | Answered | no ACK for 64·T1 | HangingUp | `Bye` |
/// | Answered, Talking | BYE | Over | `Forget` |
/// | Talking | time to hang up | HangingUp | `Bye` |
/// | HangingUp | interval elapsed | same | `RepeatBye` |
/// | HangingUp | final response, or none for 64·T1 | Over | `Forget` |
/// | any | anything else | same | none |
///
/// `Ended` comes once: with the rejection, or when either side hangs up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CallState {
    /// No final response yet.
    Early { script_at: Option<Instant>, give_up: Instant },
    /// Waits for the socket of its audio, then answers.
    Opening,
    /// Rejected; the response is retransmitted until its ACK.
    Rejected(Retransmission),
    /// Answered; the 200 is retransmitted until its ACK.
    Answered { since: Instant, hang_up: Instant, retransmission: Retransmission },
    /// Answered and acknowledged.
    Talking { since: Instant, hang_up: Instant },
    /// Our BYE is retransmitted until its response.
    HangingUp(Retransmission),
    /// The final state.
    Over,
}

/// A message that is retransmitted at growing intervals (timers E, G and §13.3.1.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Retransmission {
    next: Instant,
    interval: Duration,
    give_up: Instant,
}

/// An instruction to the caller of the state machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Send this response to the INVITE.
    Respond { code: u16, retry_after_seconds: Option<u32> },
    /// Retransmit the last response to the INVITE.
    RepeatResponse,
    /// Open a socket for the call's audio, then call [`Call::media_opened`].
    OpenMedia(Playback),
    /// Send 200 with the SDP answer.
    Answer,
    /// Send BYE.
    Bye,
    /// Retransmit the BYE.
    RepeatBye,
    /// The caller cancelled before the answer.
    Cancelled,
    /// An answered call was hung up.
    HungUp(Party),
    /// The call has ended for both parties; its transactions may not have.
    Ended { answered: bool, talk_time: Duration },
    /// Nothing more will be sent.
    Forget,
}

/// The state machine of one call.
pub(crate) struct Call {
    script: Script,
    state: CallState,
}

impl Retransmission {
    fn start(now: Instant) -> Retransmission {
        Retransmission { next: now + T1, interval: T1, give_up: now + TRANSACTION_LIFETIME }
    }

    fn deadline(&self) -> Instant {
        self.next.min(self.give_up)
    }

    /// Whether to retransmit now.
    fn due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.interval = (self.interval * 2).min(T2);
        self.next = now + self.interval;
        true
    }
}

fn respond(code: u16) -> Step {
    Step::Respond { code, retry_after_seconds: None }
}

impl Call {
    /// Starts with a new INVITE.
    pub fn invited(script: Script, now: Instant) -> (Call, Vec<Step>) {
        let script_at = match script.then {
            Then::Nothing => None,
            Then::Reject { after, .. } | Then::Answer { after, .. } => Some(now + after),
        };
        let mut call =
            Call { script, state: CallState::Early { script_at, give_up: now + MAX_RING_TIME } };
        let mut steps = Vec::new();
        if script.trying {
            steps.push(respond(100));
        }
        if script.ringing {
            steps.push(respond(180));
        }
        steps.extend(call.tick(now));
        (call, steps)
    }

    /// The time of the next [`Call::tick`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            CallState::Early { script_at, give_up } => Some(script_at.unwrap_or(*give_up)),
            CallState::Opening | CallState::Over => None,
            CallState::Rejected(retransmission) | CallState::HangingUp(retransmission) => {
                Some(retransmission.deadline())
            }
            CallState::Answered { retransmission, .. } => Some(retransmission.deadline()),
            CallState::Talking { hang_up, .. } => Some(*hang_up),
        }
    }

    /// Runs expired timers.
    pub fn tick(&mut self, now: Instant) -> Vec<Step> {
        match &mut self.state {
            CallState::Early { script_at, give_up } => {
                if script_at.is_some_and(|at| now >= at) {
                    self.follow_script(now)
                } else if now >= *give_up {
                    self.reject(480, None, now)
                } else {
                    Vec::new()
                }
            }
            CallState::Opening | CallState::Over => Vec::new(),
            CallState::Rejected(retransmission) => {
                if now >= retransmission.give_up {
                    self.forget()
                } else if retransmission.due(now) {
                    vec![Step::RepeatResponse]
                } else {
                    Vec::new()
                }
            }
            CallState::Answered { since, retransmission, .. } => {
                if now >= retransmission.give_up {
                    let since = *since;
                    self.hang_up(since, now)
                } else if retransmission.due(now) {
                    vec![Step::RepeatResponse]
                } else {
                    Vec::new()
                }
            }
            CallState::Talking { since, hang_up } => {
                let since = *since;
                if now >= *hang_up { self.hang_up(since, now) } else { Vec::new() }
            }
            CallState::HangingUp(retransmission) => {
                if now >= retransmission.give_up {
                    self.forget()
                } else if retransmission.due(now) {
                    vec![Step::RepeatBye]
                } else {
                    Vec::new()
                }
            }
        }
    }

    /// Handles a retransmitted INVITE, whose response was lost.
    pub fn invite_retransmitted(&self) -> Vec<Step> {
        match self.state {
            CallState::Early { .. } | CallState::Rejected(_) | CallState::Answered { .. } => {
                vec![Step::RepeatResponse]
            }
            CallState::Opening
            | CallState::Talking { .. }
            | CallState::HangingUp(_)
            | CallState::Over => Vec::new(),
        }
    }

    /// Handles the result of `OpenMedia`: a socket for the audio, or none.
    pub fn media_opened(&mut self, is_open: bool, now: Instant) -> Vec<Step> {
        let (CallState::Opening, Then::Answer { hang_up_after, .. }) =
            (self.state, self.script.then)
        else {
            return Vec::new();
        };
        if !is_open {
            return self.reject(503, None, now);
        }
        self.state = CallState::Answered {
            since: now,
            hang_up: now + hang_up_after,
            retransmission: Retransmission::start(now),
        };
        vec![Step::Answer]
    }

    /// Handles an ACK for the final response.
    pub fn acknowledged(&mut self, now: Instant) -> Vec<Step> {
        match self.state {
            CallState::Rejected(_) => self.forget(),
            CallState::Answered { since, hang_up, .. } => {
                self.state = CallState::Talking { since, hang_up };
                self.tick(now)
            }
            CallState::Early { .. }
            | CallState::Opening
            | CallState::Talking { .. }
            | CallState::HangingUp(_)
            | CallState::Over => Vec::new(),
        }
    }

    /// Handles a CANCEL. After the answer it has no effect.
    pub fn cancelled(&mut self, now: Instant) -> Vec<Step> {
        match self.state {
            CallState::Early { .. } | CallState::Opening => {
                let mut steps = vec![Step::Cancelled];
                steps.extend(self.reject(487, None, now));
                steps
            }
            CallState::Rejected(_)
            | CallState::Answered { .. }
            | CallState::Talking { .. }
            | CallState::HangingUp(_)
            | CallState::Over => Vec::new(),
        }
    }

    /// Handles a BYE from the caller. Before the answer it is treated as a CANCEL (RFC 3261
    /// §15.1.2).
    pub fn hung_up(&mut self, now: Instant) -> Vec<Step> {
        match self.state {
            CallState::Early { .. } | CallState::Opening => self.cancelled(now),
            CallState::Answered { since, .. } | CallState::Talking { since, .. } => {
                let mut steps = vec![
                    Step::HungUp(Party::Caller),
                    Step::Ended { answered: true, talk_time: now.saturating_duration_since(since) },
                ];
                steps.extend(self.forget());
                steps
            }
            CallState::Rejected(_) | CallState::HangingUp(_) | CallState::Over => Vec::new(),
        }
    }

    /// Handles a response to our BYE.
    pub fn bye_answered(&mut self, code: u16) -> Vec<Step> {
        match self.state {
            CallState::HangingUp(_) if code >= 200 => self.forget(),
            _ => Vec::new(),
        }
    }

    /// Ends the call because the callee shuts down.
    pub fn shut_down(&mut self, now: Instant) -> Vec<Step> {
        match self.state {
            CallState::Early { .. } | CallState::Opening => self.reject(503, None, now),
            CallState::Answered { since, .. } | CallState::Talking { since, .. } => {
                self.hang_up(since, now)
            }
            CallState::Rejected(_) | CallState::HangingUp(_) | CallState::Over => Vec::new(),
        }
    }

    fn follow_script(&mut self, now: Instant) -> Vec<Step> {
        match self.script.then {
            Then::Nothing => Vec::new(),
            Then::Reject { code, retry_after_seconds, .. } => {
                self.reject(code, retry_after_seconds, now)
            }
            Then::Answer { playback, .. } => {
                self.state = CallState::Opening;
                vec![Step::OpenMedia(playback)]
            }
        }
    }

    fn reject(&mut self, code: u16, retry_after_seconds: Option<u32>, now: Instant) -> Vec<Step> {
        self.state = CallState::Rejected(Retransmission::start(now));
        vec![
            Step::Respond { code, retry_after_seconds },
            Step::Ended { answered: false, talk_time: Duration::ZERO },
        ]
    }

    fn hang_up(&mut self, since: Instant, now: Instant) -> Vec<Step> {
        self.state = CallState::HangingUp(Retransmission::start(now));
        vec![
            Step::Bye,
            Step::HungUp(Party::Callee),
            Step::Ended { answered: true, talk_time: now.saturating_duration_since(since) },
        ]
    }

    fn forget(&mut self) -> Vec<Step> {
        self.state = CallState::Over;
        vec![Step::Forget]
    }
}

#[cfg(test)]
mod tests;
