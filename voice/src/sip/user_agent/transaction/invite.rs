//! The INVITE client transaction (RFC 3261 §17.1.1, RFC 6026).

use std::time::{Duration, Instant};

use super::timers::Timers;
use crate::sip::message::hop::Transport;

/// The state of an INVITE client transaction.
///
/// | state | input | next | action |
/// |---|---|---|---|
/// | Calling | timer A | Calling | retransmit; A doubles |
/// | Calling | 1xx | Proceeding | stop A and B |
/// | Calling | timer B (the gateway timeout) | Abandoned | report the timeout; stop A |
/// | Calling, Proceeding, Abandoned | 2xx | Accepted | the dialog sends ACK; timer M |
/// | Calling, Proceeding, Abandoned | 300–699 | Completed | ACK; timer D |
/// | Completed | 300–699 repeated | Completed | ACK again |
/// | Accepted | 2xx, repeated or forked | Accepted | handled by the dialogs |
/// | Abandoned | 1xx | Abandoned | the leg sends CANCEL, which restarts 64·T1 |
/// | Abandoned | 64·T1 since the INVITE, or since the CANCEL | Terminated | |
/// | Accepted | timer M | Terminated | |
/// | Completed | timer D | Terminated | |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InviteState {
    Calling,
    Proceeding,
    /// The call was given up, or the gateway did not respond in time. The INVITE is not retransmitted; late
    /// responses lead to CANCEL or BYE.
    Abandoned,
    Accepted,
    Completed,
    Terminated,
}

/// The action that a timer of an INVITE transaction requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InviteAction {
    Nothing,
    Retransmit,
    TimedOut,
    Terminated,
}

/// An INVITE client transaction.
#[derive(Debug)]
pub struct InviteTransaction {
    pub state: InviteState,
    /// Retransmission.
    pub timer_a: Option<Instant>,
    /// The time limit for any response.
    pub timer_b: Option<Instant>,
    /// The end of Accepted (M), Completed (D) or Abandoned.
    pub timer_end: Option<Instant>,
    interval: Duration,
    started: Instant,
}

impl InviteTransaction {
    /// Starts with an INVITE sent at `now`. It is retransmitted only over unreliable transports.
    pub fn start(
        now: Instant,
        gateway_timeout: Duration,
        transport: Transport,
        timers: Timers,
    ) -> Self {
        Self {
            state: InviteState::Calling,
            timer_a: (!transport.is_reliable()).then(|| now + timers.t1),
            timer_b: Some(now + gateway_timeout),
            timer_end: None,
            interval: timers.t1,
            started: now,
        }
    }

    /// Takes a 1xx. Returns whether it is the first response.
    pub fn provisional(&mut self) -> bool {
        let first = self.state == InviteState::Calling;
        if first {
            self.state = InviteState::Proceeding;
            (self.timer_a, self.timer_b) = (None, None);
        }
        first
    }

    /// Takes a 2xx. Returns whether the call was still wanted and unanswered.
    pub fn accepted(&mut self, now: Instant, timers: Timers) -> bool {
        let wanted = matches!(self.state, InviteState::Calling | InviteState::Proceeding);
        if wanted || self.state == InviteState::Abandoned {
            self.finish(InviteState::Accepted, now + timers.transaction_timeout());
        }
        wanted
    }

    /// Takes a final response of 300 or more. Returns whether the call was still wanted and unanswered.
    pub fn rejected(&mut self, now: Instant, timers: Timers) -> bool {
        let wanted = matches!(self.state, InviteState::Calling | InviteState::Proceeding);
        if wanted || self.state == InviteState::Abandoned {
            self.finish(InviteState::Completed, now + timers.timer_d());
        }
        wanted
    }

    /// Gives the call up. Returns whether CANCEL may be sent: only after a response (RFC 3261 §9.1).
    pub fn abandon(&mut self, now: Instant, timers: Timers) -> bool {
        match self.state {
            InviteState::Calling => {
                self.finish(InviteState::Abandoned, self.started + timers.transaction_timeout());
                false
            }
            InviteState::Proceeding => {
                self.finish(InviteState::Abandoned, now + timers.transaction_timeout());
                true
            }
            InviteState::Abandoned
            | InviteState::Accepted
            | InviteState::Completed
            | InviteState::Terminated => false,
        }
    }

    /// Notes a CANCEL sent at `now`. The final response is expected for 64·T1 from then (RFC 3261 §9.1).
    pub fn cancelled(&mut self, now: Instant, timers: Timers) {
        if self.state == InviteState::Abandoned {
            self.timer_end = self.timer_end.max(Some(now + timers.transaction_timeout()));
        }
    }

    fn finish(&mut self, state: InviteState, end: Instant) {
        self.state = state;
        (self.timer_a, self.timer_b) = (None, None);
        self.timer_end = Some(end);
    }

    /// When to call [`InviteTransaction::tick`] next.
    pub fn deadline(&self) -> Option<Instant> {
        [self.timer_a, self.timer_b, self.timer_end].into_iter().flatten().min()
    }

    /// Runs a timer that is due.
    pub fn tick(&mut self, now: Instant, timers: Timers) -> InviteAction {
        if self.timer_end.is_some_and(|at| at <= now) {
            self.state = InviteState::Terminated;
            self.timer_end = None;
            return InviteAction::Terminated;
        }
        if self.timer_b.is_some_and(|at| at <= now) {
            self.finish(InviteState::Abandoned, self.started + timers.transaction_timeout());
            return InviteAction::TimedOut;
        }
        if self.timer_a.is_some_and(|at| at <= now) {
            self.interval *= 2;
            self.timer_a = Some(now + self.interval);
            return InviteAction::Retransmit;
        }
        InviteAction::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::times;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn timers() -> Timers {
        Timers::default()
    }

    #[test]
    fn an_unanswered_invite_is_retransmitted_by_timer_a_until_the_gateway_timeout() {
        let start = Instant::now();
        let mut invite = InviteTransaction::start(start, 4000 * MS, Transport::Udp, timers());
        let mut dues = Vec::new();
        let at = times(
            || {
                let at = invite.deadline()?;
                dues.push(invite.tick(at, timers()));
                Some(at)
            },
            start,
        );
        assert_eq!(at, [500, 1500, 3500, 4000, 32_000]);
        let retransmit = InviteAction::Retransmit;
        assert_eq!(
            dues,
            [retransmit, retransmit, retransmit, InviteAction::TimedOut, InviteAction::Terminated]
        );
    }

    #[test]
    fn a_provisional_response_stops_retransmission_and_the_timeout() {
        let start = Instant::now();
        let mut invite = InviteTransaction::start(start, 2000 * MS, Transport::Udp, timers());
        assert!(invite.provisional());
        assert!(!invite.provisional());
        assert_eq!(invite.deadline(), None);
    }

    #[test]
    fn repeated_failures_are_absorbed_for_timer_d_and_2xx_for_timer_m() {
        for accept in [true, false] {
            let start = Instant::now();
            let mut invite = InviteTransaction::start(start, 2000 * MS, Transport::Udp, timers());
            let was_wanted = match accept {
                true => invite.accepted(start, timers()),
                false => invite.rejected(start, timers()),
            };
            assert!(was_wanted);
            assert!(!invite.accepted(start + MS, timers()));
            assert!(!invite.rejected(start + MS, timers()));
            let end = invite.deadline().unwrap();
            assert_eq!(end, start + 32_000 * MS);
            assert_eq!(invite.tick(end, timers()), InviteAction::Terminated);
        }
    }

    #[test]
    fn an_abandoned_invite_may_be_cancelled_only_after_a_provisional_response() {
        let start = Instant::now();
        let mut invite = InviteTransaction::start(start, 2000 * MS, Transport::Udp, timers());
        assert!(!invite.abandon(start, timers()));
        assert!(!invite.accepted(start, timers()), "the call was given up");
        let mut invite = InviteTransaction::start(start, 2000 * MS, Transport::Udp, timers());
        invite.provisional();
        assert!(invite.abandon(start, timers()));
        assert!(!invite.abandon(start, timers()));
    }
}
