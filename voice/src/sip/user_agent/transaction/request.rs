//! The non-INVITE client transaction (RFC 3261 §17.1.2).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::timers::Timers;
use crate::sip::message::hop::Transport;

/// The state of a non-INVITE client transaction.
///
/// | state | input | next | action |
/// |---|---|---|---|
/// | Trying, Proceeding | timer E | same | retransmit; E doubles up to T2 (T2 at once when Proceeding) |
/// | Trying | 1xx | Proceeding | |
/// | Trying, Proceeding | 200–699 | Completed | timer K |
/// | Trying, Proceeding | timer F | Terminated | the request has failed |
/// | Completed | a repeated response | Completed | absorbed |
/// | Completed | timer K | Terminated | |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestState {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

/// A non-INVITE client transaction.
#[derive(Debug)]
pub struct RequestTransaction {
    pub state: RequestState,
    /// Retransmission.
    pub timer_e: Option<Instant>,
    /// The time limit for a final response.
    pub timer_f: Option<Instant>,
    /// The end of absorbing repeated responses.
    pub timer_k: Option<Instant>,
    pub branch: String,
    /// The request, until there is a final response.
    pub bytes: Option<Arc<[u8]>>,
    interval: Duration,
}

impl RequestTransaction {
    /// Starts with a request sent at `now`. It is retransmitted only over unreliable transports.
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
            timer_f: Some(now + timers.transaction_timeout()),
            timer_k: None,
            branch,
            bytes: Some(bytes),
            interval: timers.t1,
        }
    }

    /// Takes a response. Returns whether it is the first final one.
    pub fn handle_response(&mut self, code: u16, now: Instant, timers: Timers) -> bool {
        match (self.is_open(), code) {
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

    /// Whether there is no final response yet.
    pub fn is_open(&self) -> bool {
        matches!(self.state, RequestState::Trying | RequestState::Proceeding)
    }

    /// Its approximate heap memory in bytes.
    pub fn bytes_held(&self) -> usize {
        self.branch.capacity() + self.bytes.as_ref().map_or(0, |bytes| bytes.len())
    }

    /// When to call [`RequestTransaction::tick`] next.
    pub fn deadline(&self) -> Option<Instant> {
        [self.timer_e, self.timer_f, self.timer_k].into_iter().flatten().min()
    }

    /// Runs a timer that is due. Returns the request if it must be retransmitted.
    pub fn tick(&mut self, now: Instant, timers: Timers) -> Option<Arc<[u8]>> {
        let is_due = |timer: Option<Instant>| timer.is_some_and(|at| at <= now);
        if is_due(self.timer_f) || is_due(self.timer_k) {
            self.state = RequestState::Terminated;
            (self.timer_e, self.timer_f, self.timer_k) = (None, None, None);
            self.bytes = None;
            return None;
        }
        if !is_due(self.timer_e) {
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
    use super::super::testing::times;
    use super::*;

    fn timers() -> Timers {
        Timers::default()
    }

    #[test]
    fn a_lost_request_is_retransmitted_after_t1_and_fails_after_timer_f() {
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
            [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]
        );
        assert_eq!(sent, 10);
        assert_eq!(bye.state, RequestState::Terminated);
    }

    #[test]
    fn a_provisional_response_slows_retransmission_to_t2_and_a_final_one_ends_it_after_timer_k() {
        let start = Instant::now();
        let mut bye = RequestTransaction::start(
            start,
            "b".into(),
            Arc::from(*b"BYE"),
            Transport::Udp,
            timers(),
        );
        assert!(!bye.handle_response(100, start, timers()));
        let first = bye.deadline().unwrap();
        assert!(bye.tick(first, timers()).is_some());
        assert_eq!(bye.deadline(), Some(first + timers().t2));
        assert!(bye.handle_response(200, first, timers()));
        assert!(!bye.handle_response(200, first, timers()));
        assert_eq!(bye.deadline(), Some(first + timers().t4));
        assert!(bye.bytes.is_none());
    }
}
