//! One received call, from its INVITE to its end: the callee's side of RFC 3261 §13.3 and §15, and
//! of the INVITE server transaction (§17.2.1, RFC 6026), following a [`Script`].
//!
//! Pure: what came from the caller and what the clock shows come in, what to do comes out.

use std::time::{Duration, Instant};

use crate::sandbox::behaviour::{Playback, Script, Then};
use crate::sandbox::events::Party;

/// RFC 3261 §17.1.1.1: the estimate of a round trip.
pub(in crate::sandbox) const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.1: the longest interval between retransmissions.
const T2: Duration = Duration::from_secs(4);
/// When a transaction without an answer is given up (timers F and H), and for how long repeated
/// requests are still to be expected (timers J and L).
pub(in crate::sandbox) const TRANSACTION_LIFETIME: Duration = T1.saturating_mul(64);
/// The longest that a phone rings (RFC 3261 §16.6, timer C).
const LONGEST_RING: Duration = Duration::from_secs(180);

/// Where a call stands.
///
/// | state | input | next | steps |
/// |---|---|---|---|
/// | Early | script's time: reject | Rejected | `Respond` |
/// | Early | script's time: answer | Opening | `OpenMedia` |
/// | Early, Opening | CANCEL or BYE | Rejected | `Respond` 487 |
/// | Early | the longest ring is over | Rejected | `Respond` 480 |
/// | Opening | media opened | Answered | `Answer` |
/// | Opening | no media to be had | Rejected | `Respond` 503 |
/// | Early, Rejected, Answered | INVITE again | same | `RepeatResponse` |
/// | Rejected, Answered | interval over | same | `RepeatResponse`, the interval doubles up to T2 |
/// | Rejected | ACK, or 64·T1 without one | Over | `Forget` |
/// | Answered | ACK | Talking, or HangingUp if it is time | |
/// | Answered | 64·T1 without an ACK | HangingUp | `Bye` |
/// | Answered, Talking | BYE | Over | `Forget` |
/// | Talking | time to hang up | HangingUp | `Bye` |
/// | HangingUp | interval over | same | `RepeatBye` |
/// | HangingUp | final answer, or 64·T1 without one | Over | `Forget` |
/// | any | anything else | same | none |
///
/// `Ended` comes once: with the final failure, or when either side hangs up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::sandbox) enum CallState {
    /// No final answer yet.
    Early {
        script_at: Option<Instant>,
        give_up: Instant,
    },
    /// To be answered as soon as there is a socket for its audio.
    Opening,
    /// Refused; the refusal is repeated until its ACK.
    Rejected(Repeat),
    /// Accepted; the 200 is repeated until its ACK.
    Answered {
        since: Instant,
        hang_up: Instant,
        repeat: Repeat,
    },
    /// Accepted and acknowledged.
    Talking { since: Instant, hang_up: Instant },
    /// Our BYE is repeated until its answer.
    HangingUp(Repeat),
    /// For good.
    Over,
}

/// Something sent again and again at growing intervals (timers E, G and §13.3.1.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::sandbox) struct Repeat {
    next: Instant,
    interval: Duration,
    give_up: Instant,
}

/// What the shell is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::sandbox) enum Step {
    /// Send this answer to the INVITE.
    Respond {
        code: u16,
        retry_after_seconds: Option<u32>,
    },
    /// Send the last answer to the INVITE again.
    RepeatResponse,
    /// Find a socket for the call's audio and report to [`Call::media`].
    OpenMedia(Playback),
    /// Send 200 with the SDP answer.
    Answer,
    /// Send BYE.
    Bye,
    /// Send the same BYE again.
    RepeatBye,
    /// The caller gave up before the answer.
    Cancelled,
    /// An answered call was hung up.
    HungUp(Party),
    /// The call is over for the people at its ends, if not yet for the network.
    Ended { answered: bool, talked: Duration },
    /// Nothing more is to be sent.
    Forget,
}

/// One call's machine.
pub(in crate::sandbox) struct Call {
    script: Script,
    state: CallState,
}

impl Repeat {
    fn start(now: Instant) -> Repeat {
        Repeat {
            next: now + T1,
            interval: T1,
            give_up: now + TRANSACTION_LIFETIME,
        }
    }

    fn deadline(&self) -> Instant {
        self.next.min(self.give_up)
    }

    /// Whether it is to be sent again now.
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
    Step::Respond {
        code,
        retry_after_seconds: None,
    }
}

impl Call {
    /// Takes a new INVITE.
    pub fn invited(script: Script, now: Instant) -> (Call, Vec<Step>) {
        let script_at = match script.then {
            Then::Nothing => None,
            Then::Reject { after, .. } | Then::Answer { after, .. } => Some(now + after),
        };
        let mut call = Call {
            script,
            state: CallState::Early {
                script_at,
                give_up: now + LONGEST_RING,
            },
        };
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

    /// When [`Call::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            CallState::Early { script_at, give_up } => Some(script_at.unwrap_or(*give_up)),
            CallState::Opening | CallState::Over => None,
            CallState::Rejected(repeat) | CallState::HangingUp(repeat) => Some(repeat.deadline()),
            CallState::Answered { repeat, .. } => Some(repeat.deadline()),
            CallState::Talking { hang_up, .. } => Some(*hang_up),
        }
    }

    /// Does what is due by the clock.
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
            CallState::Rejected(repeat) => {
                if now >= repeat.give_up {
                    self.forget()
                } else if repeat.due(now) {
                    vec![Step::RepeatResponse]
                } else {
                    Vec::new()
                }
            }
            CallState::Answered { since, repeat, .. } => {
                if now >= repeat.give_up {
                    let since = *since;
                    self.hang_up(since, now)
                } else if repeat.due(now) {
                    vec![Step::RepeatResponse]
                } else {
                    Vec::new()
                }
            }
            CallState::Talking { since, hang_up } => {
                let since = *since;
                if now >= *hang_up {
                    self.hang_up(since, now)
                } else {
                    Vec::new()
                }
            }
            CallState::HangingUp(repeat) => {
                if now >= repeat.give_up {
                    self.forget()
                } else if repeat.due(now) {
                    vec![Step::RepeatBye]
                } else {
                    Vec::new()
                }
            }
        }
    }

    /// The same INVITE came again: its answer was lost.
    pub fn invited_again(&self) -> Vec<Step> {
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

    /// The socket for the call's audio is there, or is not to be had.
    pub fn media(&mut self, opened: bool, now: Instant) -> Vec<Step> {
        let (CallState::Opening, Then::Answer { hang_up_after, .. }) =
            (self.state, self.script.then)
        else {
            return Vec::new();
        };
        if !opened {
            return self.reject(503, None, now);
        }
        self.state = CallState::Answered {
            since: now,
            hang_up: now + hang_up_after,
            repeat: Repeat::start(now),
        };
        vec![Step::Answer]
    }

    /// ACK for the final answer.
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

    /// CANCEL. One that crosses the answer changes nothing.
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

    /// BYE from the caller. Before the answer it is as good as a CANCEL (RFC 3261 §15.1.2).
    pub fn hung_up(&mut self, now: Instant) -> Vec<Step> {
        match self.state {
            CallState::Early { .. } | CallState::Opening => self.cancelled(now),
            CallState::Answered { since, .. } | CallState::Talking { since, .. } => {
                let mut steps = vec![
                    Step::HungUp(Party::Caller),
                    Step::Ended {
                        answered: true,
                        talked: now.saturating_duration_since(since),
                    },
                ];
                steps.extend(self.forget());
                steps
            }
            CallState::Rejected(_) | CallState::HangingUp(_) | CallState::Over => Vec::new(),
        }
    }

    /// An answer to our BYE.
    pub fn bye_answered(&mut self, code: u16) -> Vec<Step> {
        match self.state {
            CallState::HangingUp(_) if code >= 200 => self.forget(),
            _ => Vec::new(),
        }
    }

    /// The callee goes out of service.
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
            Then::Reject {
                code,
                retry_after_seconds,
                ..
            } => self.reject(code, retry_after_seconds, now),
            Then::Answer { playback, .. } => {
                self.state = CallState::Opening;
                vec![Step::OpenMedia(playback)]
            }
        }
    }

    fn reject(&mut self, code: u16, retry_after_seconds: Option<u32>, now: Instant) -> Vec<Step> {
        self.state = CallState::Rejected(Repeat::start(now));
        vec![
            Step::Respond {
                code,
                retry_after_seconds,
            },
            Step::Ended {
                answered: false,
                talked: Duration::ZERO,
            },
        ]
    }

    fn hang_up(&mut self, since: Instant, now: Instant) -> Vec<Step> {
        self.state = CallState::HangingUp(Repeat::start(now));
        vec![
            Step::Bye,
            Step::HungUp(Party::Callee),
            Step::Ended {
                answered: true,
                talked: now.saturating_duration_since(since),
            },
        ]
    }

    fn forget(&mut self) -> Vec<Step> {
        self.state = CallState::Over;
        vec![Step::Forget]
    }
}

#[cfg(test)]
mod tests;
