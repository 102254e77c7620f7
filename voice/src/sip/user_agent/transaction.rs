//! Client transactions (RFC 3261 §17.1, RFC 6026): states and timers as values; no socket, no clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sip::message::hop::Transport;

/// The timers' base values (RFC 3261 §17.1.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// An estimate of the round trip.
    pub t1: Duration,
    /// The longest wait between retransmissions of a non-INVITE request.
    pub t2: Duration,
    /// The longest time that a message stays in the network.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}

impl Timers {
    /// 64·T1: timers B, F and M, and how long late answers are looked out for.
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: how long retransmitted failures are acknowledged; at least 32 s over UDP.
    pub fn d(&self) -> Duration {
        self.patience()
    }
}

/// The state of an INVITE client transaction.
///
/// | state | input | next | to do |
/// |---|---|---|---|
/// | Calling | timer A | Calling | send again; A doubles |
/// | Calling | 1xx | Proceeding | stop A and B |
/// | Calling | timer B (the gateway's time) | Abandoned | tell that it is silent; stop A |
/// | Calling, Proceeding, Abandoned | 2xx | Accepted | ACK is the dialog's; timer M |
/// | Calling, Proceeding, Abandoned | 300–699 | Completed | ACK; timer D |
/// | Completed | 300–699 again | Completed | ACK again |
/// | Accepted | 2xx, the same or forked | Accepted | the dialog's |
/// | Abandoned | 1xx | Abandoned | the caller cancels, which starts 64·T1 anew |
/// | Abandoned | 64·T1 since the INVITE, or since the CANCEL | Terminated | |
/// | Accepted | timer M | Terminated | |
/// | Completed | timer D | Terminated | |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InviteState {
    Calling,
    Proceeding,
    /// The caller no longer wants the call, or the gateway was silent too long: nothing is sent
    /// again, and what comes late is cancelled or hung up.
    Abandoned,
    Accepted,
    Completed,
    Terminated,
}

/// What a timer of an INVITE transaction came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InviteDue {
    Nothing,
    SendAgain,
    Silent,
    Terminated,
}

/// An INVITE client transaction.
#[derive(Debug)]
pub struct InviteTransaction {
    pub state: InviteState,
    /// Retransmission.
    pub timer_a: Option<Instant>,
    /// The gateway's time for any answer.
    pub timer_b: Option<Instant>,
    /// The end of Accepted (M), Completed (D) or Abandoned.
    pub timer_end: Option<Instant>,
    interval: Duration,
    started: Instant,
}

impl InviteTransaction {
    /// The INVITE is sent at `now`. It is sent again only where the transport may lose it.
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

    /// A 1xx. Whether it is the first news from the gateway.
    pub fn provisional(&mut self) -> bool {
        let first = self.state == InviteState::Calling;
        if first {
            self.state = InviteState::Proceeding;
            (self.timer_a, self.timer_b) = (None, None);
        }
        first
    }

    /// A 2xx. Whether the call was still wanted and unanswered.
    pub fn accepted(&mut self, now: Instant, timers: Timers) -> bool {
        let wanted = matches!(self.state, InviteState::Calling | InviteState::Proceeding);
        if wanted || self.state == InviteState::Abandoned {
            self.enter_end(InviteState::Accepted, now + timers.patience());
        }
        wanted
    }

    /// A final answer of 300 or more. Whether the call was still wanted and unanswered.
    pub fn failed(&mut self, now: Instant, timers: Timers) -> bool {
        let wanted = matches!(self.state, InviteState::Calling | InviteState::Proceeding);
        if wanted || self.state == InviteState::Abandoned {
            self.enter_end(InviteState::Completed, now + timers.d());
        }
        wanted
    }

    /// The call is no longer wanted. Whether the gateway has answered, so that CANCEL may be sent.
    pub fn abandon(&mut self, now: Instant, timers: Timers) -> bool {
        match self.state {
            InviteState::Calling => {
                self.enter_end(InviteState::Abandoned, self.started + timers.patience());
                false
            }
            InviteState::Proceeding => {
                self.enter_end(InviteState::Abandoned, now + timers.patience());
                true
            }
            InviteState::Abandoned
            | InviteState::Accepted
            | InviteState::Completed
            | InviteState::Terminated => false,
        }
    }

    /// CANCEL is sent at `now`: its outcome is awaited for 64·T1 from here (RFC 3261 §9.1), however
    /// late in the INVITE's own time that is.
    pub fn cancelled(&mut self, now: Instant, timers: Timers) {
        if self.state == InviteState::Abandoned {
            self.timer_end = self.timer_end.max(Some(now + timers.patience()));
        }
    }

    fn enter_end(&mut self, state: InviteState, end: Instant) {
        self.state = state;
        (self.timer_a, self.timer_b) = (None, None);
        self.timer_end = Some(end);
    }

    /// When [`InviteTransaction::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        [self.timer_a, self.timer_b, self.timer_end]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes the time.
    pub fn tick(&mut self, now: Instant, timers: Timers) -> InviteDue {
        if self.timer_end.is_some_and(|at| at <= now) {
            self.state = InviteState::Terminated;
            self.timer_end = None;
            return InviteDue::Terminated;
        }
        if self.timer_b.is_some_and(|at| at <= now) {
            self.enter_end(InviteState::Abandoned, self.started + timers.patience());
            return InviteDue::Silent;
        }
        if self.timer_a.is_some_and(|at| at <= now) {
            self.interval *= 2;
            self.timer_a = Some(now + self.interval);
            return InviteDue::SendAgain;
        }
        InviteDue::Nothing
    }
}

/// The state of a non-INVITE client transaction.
///
/// | state | input | next | to do |
/// |---|---|---|---|
/// | Trying, Proceeding | timer E | same | send again; E doubles up to T2 (T2 at once when Proceeding) |
/// | Trying | 1xx | Proceeding | |
/// | Trying, Proceeding | 200–699 | Completed | timer K |
/// | Trying, Proceeding | timer F | Terminated | it has failed |
/// | Completed | an answer again | Completed | absorbed |
/// | Completed | timer K | Terminated | |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestState {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

/// A non-INVITE client transaction: BYE, CANCEL, OPTIONS …
#[derive(Debug)]
pub struct RequestTransaction {
    pub state: RequestState,
    /// Retransmission.
    pub timer_e: Option<Instant>,
    /// Giving up.
    pub timer_f: Option<Instant>,
    /// The end of absorbing repeated answers.
    pub timer_k: Option<Instant>,
    pub branch: String,
    /// The datagram, until it is answered.
    pub bytes: Option<Arc<[u8]>>,
    interval: Duration,
}

impl RequestTransaction {
    /// The request is sent at `now`. It is sent again only where the transport may lose it.
    pub fn start(
        now: Instant,
        branch: String,
        bytes: Arc<[u8]>,
        transport: Transport,
        timers: Timers,
    ) -> Self {
        Self {
            state: RequestState::Trying,
            timer_e: (!transport.is_reliable()).then(|| now + timers.t1),
            timer_f: Some(now + timers.patience()),
            timer_k: None,
            branch,
            bytes: Some(bytes),
            interval: timers.t1,
        }
    }

    /// An answer. Whether it is the final one, for the first time.
    pub fn answered(&mut self, code: u16, now: Instant, timers: Timers) -> bool {
        let open = matches!(self.state, RequestState::Trying | RequestState::Proceeding);
        match (open, code) {
            (true, 100..=199) => {
                self.state = RequestState::Proceeding;
                self.interval = timers.t2;
                false
            }
            (true, _) => {
                self.state = RequestState::Completed;
                (self.timer_e, self.timer_f, self.bytes) = (None, None, None);
                self.timer_k = Some(now + timers.t4);
                true
            }
            (false, _) => false,
        }
    }

    /// About how many bytes it holds outside of itself.
    pub fn bytes_held(&self) -> usize {
        self.branch.capacity() + self.bytes.as_ref().map_or(0, |bytes| bytes.len())
    }

    /// When [`RequestTransaction::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        [self.timer_e, self.timer_f, self.timer_k]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes the time; gives the datagram where it is to be sent again.
    pub fn tick(&mut self, now: Instant, timers: Timers) -> Option<Arc<[u8]>> {
        let over = |timer: Option<Instant>| timer.is_some_and(|at| at <= now);
        if over(self.timer_f) || over(self.timer_k) {
            self.state = RequestState::Terminated;
            (self.timer_e, self.timer_f, self.timer_k) = (None, None, None);
            self.bytes = None;
            return None;
        }
        if !over(self.timer_e) {
            return None;
        }
        self.interval = match self.state {
            RequestState::Proceeding => timers.t2,
            RequestState::Trying | RequestState::Completed | RequestState::Terminated => {
                (self.interval * 2).min(timers.t2)
            }
        };
        self.timer_e = Some(now + self.interval);
        self.bytes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn timers() -> Timers {
        Timers::default()
    }

    /// The milliseconds at which something is due, until nothing is.
    fn times(mut deadline: impl FnMut() -> Option<Instant>, start: Instant) -> Vec<u128> {
        let mut times = Vec::new();
        while let Some(at) = deadline() {
            times.push((at - start).as_millis());
        }
        times
    }

    #[test]
    fn an_unanswered_invite_is_sent_again_by_timer_a_until_the_gateways_time_is_up() {
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
        let again = InviteDue::SendAgain;
        assert_eq!(
            dues,
            [
                again,
                again,
                again,
                InviteDue::Silent,
                InviteDue::Terminated
            ]
        );
    }

    #[test]
    fn a_provisional_stops_retransmission_and_silence() {
        let start = Instant::now();
        let mut invite = InviteTransaction::start(start, 2000 * MS, Transport::Udp, timers());
        assert!(invite.provisional());
        assert!(!invite.provisional());
        assert_eq!(invite.deadline(), None);
    }

    #[test]
    fn a_failure_is_absorbed_for_timer_d_and_an_answer_for_timer_m() {
        for accept in [true, false] {
            let start = Instant::now();
            let mut invite = InviteTransaction::start(start, 2000 * MS, Transport::Udp, timers());
            let wanted = match accept {
                true => invite.accepted(start, timers()),
                false => invite.failed(start, timers()),
            };
            assert!(wanted);
            assert!(!invite.accepted(start + MS, timers()));
            assert!(!invite.failed(start + MS, timers()));
            let end = invite.deadline().unwrap();
            assert_eq!(end, start + 32_000 * MS);
            assert_eq!(invite.tick(end, timers()), InviteDue::Terminated);
        }
    }

    #[test]
    fn an_abandoned_invite_may_be_cancelled_only_after_a_provisional() {
        let start = Instant::now();
        let mut invite = InviteTransaction::start(start, 2000 * MS, Transport::Udp, timers());
        assert!(!invite.abandon(start, timers()));
        assert!(!invite.accepted(start, timers()), "it is no longer wanted");
        let mut invite = InviteTransaction::start(start, 2000 * MS, Transport::Udp, timers());
        invite.provisional();
        assert!(invite.abandon(start, timers()));
        assert!(!invite.abandon(start, timers()));
    }

    #[test]
    fn a_lost_request_is_sent_again_after_t1_and_given_up_after_timer_f() {
        let start = Instant::now();
        let mut bye = RequestTransaction::start(
            start,
            "b".into(),
            Arc::from(*b"BYE"),
            Transport::Udp,
            timers(),
        );
        let mut sent = 0;
        let at = times(
            || {
                let at = bye.deadline()?;
                sent += usize::from(bye.tick(at, timers()).is_some());
                Some(at)
            },
            start,
        );
        assert_eq!(
            at,
            [
                500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000
            ]
        );
        assert_eq!(sent, 10);
        assert_eq!(bye.state, RequestState::Terminated);
    }

    #[test]
    fn a_provisional_slows_retransmission_to_t2_and_a_final_ends_it_after_timer_k() {
        let start = Instant::now();
        let mut bye = RequestTransaction::start(
            start,
            "b".into(),
            Arc::from(*b"BYE"),
            Transport::Udp,
            timers(),
        );
        assert!(!bye.answered(100, start, timers()));
        let first = bye.deadline().unwrap();
        assert!(bye.tick(first, timers()).is_some());
        assert_eq!(bye.deadline(), Some(first + timers().t2));
        assert!(bye.answered(200, first, timers()));
        assert!(!bye.answered(200, first, timers()));
        assert_eq!(bye.deadline(), Some(first + timers().t4));
        assert!(bye.bytes.is_none());
    }
}
