//! The circuit breaker of a gateway. It decides from the results of calls and probes whether calls are sent there.
//!
//! Time is an argument. The breaker tracks three conditions independently: whether the gateway is *reachable* (any
//! answer proves that), whether it *works* (consecutive 5xx answers say that it does not), and whether it is
//! *throttling* (`Retry-After`).

use std::time::{Duration, Instant};

/// The breaker opens after this many consecutive calls without an answer, or failed by the gateway.
pub const CALL_THRESHOLD: u32 = 3;
/// The breaker opens after this many consecutive probes without an answer.
pub const PROBE_THRESHOLD: u32 = 2;
/// How long the breaker stays open the first time. Doubles each further time.
pub const MIN_OPEN_TIME: Duration = Duration::from_secs(5);
pub const MAX_OPEN_TIME: Duration = Duration::from_secs(60);
/// After this time another trial may start. A trial has no result if its call is abandoned.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// A longer `Retry-After` is shortened to this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The result of one call or probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observation {
    /// The gateway accepted a call, or gave a final answer for the number: it is reachable and works.
    Works,
    /// A call received no answer, or its transport failed.
    SilentCall,
    /// A call was answered 5xx, 408, 401 or 407 at once: the gateway is reachable and does not work.
    Failed,
    /// A call was answered 503 or 429 with `Retry-After`, in seconds.
    Throttled(u32),
    /// A probe was answered.
    ProbeAnswered,
    /// A probe was not answered.
    ProbeSilent,
}

/// Whether a call may be sent to a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Availability {
    /// Yes.
    Ready,
    /// Only if no other gateway is ready.
    LastResort,
    /// One call may test whether the gateway works again.
    Trial,
    /// No.
    Unavailable,
}

/// Why a breaker is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    Silent,
    Failing,
}

/// | state | observation | next |
/// |---|---|---|
/// | Closed | 3 silent calls, 3 failed calls, or 2 silent probes in a row | Open |
/// | Closed | the gateway works | Closed, all counters at 0 |
/// | Open | the open time is over | a call may be the trial |
/// | Open, HalfOpen | the gateway works; or a probe is answered, if silence was the cause | Closed |
/// | HalfOpen | the trial call fails | Open, for twice as long |
/// | HalfOpen | nothing for 15 s | as Open |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed,
    Open { until: Instant, cause: Cause },
    HalfOpen { since: Instant, cause: Cause },
}

/// The circuit breaker of a gateway.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    silent_calls: u32,
    failed_calls: u32,
    silent_probes: u32,
    open_time: Duration,
    /// Until when the gateway wants no calls, and how many times in a row it has answered so.
    throttled_until: Option<Instant>,
    throttles: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            state: State::Closed,
            silent_calls: 0,
            failed_calls: 0,
            silent_probes: 0,
            open_time: MIN_OPEN_TIME,
            throttled_until: None,
            throttles: 0,
        }
    }
}

impl Breaker {
    /// Whether a call may be sent to the gateway now. If silence opened the breaker of a probed gateway, the probes
    /// detect that it is back, and no call is risked while another gateway is ready.
    pub fn availability(&self, is_probed: bool, now: Instant) -> Availability {
        let trial = |cause| match cause == Cause::Silent && is_probed {
            true => Availability::LastResort,
            false => Availability::Trial,
        };
        let by_state = match self.state {
            State::Closed => Availability::Ready,
            State::Open { until, cause } if until <= now => trial(cause),
            State::HalfOpen { since, cause } if since + TRIAL_TIMEOUT <= now => trial(cause),
            State::Open { cause, .. } | State::HalfOpen { cause, .. } => match cause {
                // It answers fast, so if there is no other gateway, an attempt costs little time.
                Cause::Failing => Availability::LastResort,
                Cause::Silent => Availability::Unavailable,
            },
        };
        match (self.retry_after(now), by_state) {
            (None, availability) => availability,
            // A single throttled call may concern one number. Two in a row concern the gateway.
            (Some(_), Availability::Ready | Availability::LastResort) if self.throttles == 1 => {
                Availability::LastResort
            }
            (Some(_), _) => Availability::Unavailable,
        }
    }

    /// The time until the gateway accepts calls again (`Retry-After`).
    pub fn retry_after(&self, now: Instant) -> Option<Duration> {
        let left = self.throttled_until?.checked_duration_since(now)?;
        (!left.is_zero()).then_some(left)
    }

    /// Whether the breaker is open or half-open. Operators see the gateway as down.
    pub fn is_open(&self) -> bool {
        match self.state {
            State::Closed => false,
            State::Open { .. } | State::HalfOpen { .. } => true,
        }
    }

    /// Whether silence makes it doubtful that the gateway is reachable, so that it should be probed at once.
    pub fn is_suspect(&self) -> bool {
        self.silent_calls + 1 >= CALL_THRESHOLD || self.silent_probes > 0 || self.is_open()
    }

    /// Records that a call is sent. It is the trial of an open breaker.
    pub fn begin_trial(&mut self, now: Instant) {
        if let State::Open { cause, .. } | State::HalfOpen { cause, .. } = self.state {
            self.state = State::HalfOpen { since: now, cause };
        }
    }

    /// Records an observation. `is_probed`: silent calls alone do not open the breaker of a gateway that answers
    /// probes.
    pub fn observe(&mut self, observation: Observation, is_probed: bool, now: Instant) {
        match observation {
            Observation::Works => *self = Breaker::default(),
            Observation::Throttled(seconds) => {
                let requested = Duration::from_secs(seconds.into()).min(MAX_RETRY_AFTER);
                self.throttles += 1;
                self.throttled_until = self.throttled_until.max(Some(now + requested));
                self.answered();
                if let State::HalfOpen { .. } = self.state {
                    self.close();
                }
            }
            Observation::Failed => {
                self.answered();
                self.failed_calls += 1;
                match self.state {
                    State::HalfOpen { .. } => self.open(Cause::Failing, now),
                    State::Closed if self.failed_calls >= CALL_THRESHOLD => {
                        self.open(Cause::Failing, now);
                    }
                    State::Closed | State::Open { .. } => {}
                }
            }
            Observation::SilentCall => {
                self.silent_calls += 1;
                match self.state {
                    State::HalfOpen { .. } => self.open(Cause::Silent, now),
                    State::Closed if self.silent_calls >= CALL_THRESHOLD && !is_probed => {
                        self.open(Cause::Silent, now);
                    }
                    State::Closed | State::Open { .. } => {}
                }
            }
            Observation::ProbeAnswered => {
                self.answered();
                match self.state {
                    State::Open { cause, .. } | State::HalfOpen { cause, .. } => {
                        if cause == Cause::Silent {
                            self.close();
                        }
                    }
                    State::Closed => {}
                }
            }
            Observation::ProbeSilent => {
                self.silent_probes += 1;
                let is_down = self.silent_probes >= PROBE_THRESHOLD
                    || (self.silent_calls >= CALL_THRESHOLD && self.silent_probes > 0);
                if is_down && self.state == State::Closed {
                    // Some gateways do not answer OPTIONS. Unless calls are silent too, a trial may start at once.
                    let until = match self.silent_calls {
                        0 => now,
                        _ => now + self.open_time,
                    };
                    let cause = Cause::Silent;
                    self.state = State::Open { until, cause };
                }
            }
        }
    }

    /// Records that the gateway is reachable.
    fn answered(&mut self) {
        (self.silent_calls, self.silent_probes) = (0, 0);
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.open_time = MIN_OPEN_TIME;
        (self.silent_calls, self.failed_calls, self.silent_probes) = (0, 0, 0);
    }

    fn open(&mut self, cause: Cause, now: Instant) {
        let until = now + self.open_time;
        self.state = State::Open { until, cause };
        self.open_time = (self.open_time * 2).min(MAX_OPEN_TIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    struct Scene {
        breaker: Breaker,
        now: Instant,
        is_probed: bool,
    }

    impl Scene {
        fn new(is_probed: bool) -> Scene {
            Scene { breaker: Breaker::default(), now: Instant::now(), is_probed }
        }

        fn observe(&mut self, observations: &[Observation]) -> Availability {
            for observation in observations {
                self.breaker.observe(*observation, self.is_probed, self.now);
            }
            self.availability()
        }

        fn availability(&self) -> Availability {
            self.breaker.availability(self.is_probed, self.now)
        }
    }

    #[test]
    fn three_silent_calls_in_a_row_open_the_breaker_of_an_unprobed_gateway() {
        let mut scene = Scene::new(false);
        let silent = Observation::SilentCall;
        assert_eq!(scene.observe(&[silent, silent]), Availability::Ready);
        assert_eq!(scene.observe(&[Observation::Works, silent, silent]), Availability::Ready);
        assert_eq!(scene.observe(&[silent]), Availability::Unavailable);
        assert!(scene.breaker.is_open());
        scene.now += MIN_OPEN_TIME;
        assert_eq!(scene.availability(), Availability::Trial);
        scene.breaker.begin_trial(scene.now);
        assert_eq!(scene.availability(), Availability::Unavailable, "one trial at a time");
        assert_eq!(scene.observe(&[silent]), Availability::Unavailable);
        scene.now += MIN_OPEN_TIME;
        assert_eq!(scene.availability(), Availability::Unavailable, "twice as long");
        scene.now += MIN_OPEN_TIME;
        assert_eq!(scene.availability(), Availability::Trial);
        scene.breaker.begin_trial(scene.now);
        assert_eq!(scene.observe(&[Observation::Works]), Availability::Ready);
        assert!(!scene.breaker.is_open());
    }

    #[test]
    fn silent_calls_do_not_open_the_breaker_of_a_gateway_that_answers_probes() {
        let mut scene = Scene::new(true);
        let silent = Observation::SilentCall;
        assert_eq!(scene.observe(&[silent; 5]), Availability::Ready);
        assert!(scene.breaker.is_suspect(), "it should be probed");
        assert_eq!(scene.observe(&[Observation::ProbeAnswered]), Availability::Ready);
        assert!(!scene.breaker.is_suspect());
        assert_eq!(scene.observe(&[silent; 3]), Availability::Ready);
        assert_eq!(scene.observe(&[Observation::ProbeSilent]), Availability::Unavailable);
        assert_eq!(scene.observe(&[Observation::ProbeAnswered]), Availability::Ready);
    }

    #[test]
    fn a_gateway_that_does_not_answer_options_still_gets_a_trial_call() {
        let mut scene = Scene::new(true);
        assert_eq!(scene.observe(&[Observation::ProbeSilent]), Availability::Ready);
        assert_eq!(scene.observe(&[Observation::ProbeSilent]), Availability::LastResort);
        scene.breaker.begin_trial(scene.now);
        assert_eq!(scene.availability(), Availability::Unavailable, "one call at a time");
        assert!(scene.breaker.is_open());
        assert_eq!(scene.observe(&[Observation::Works]), Availability::Ready);
    }

    #[test]
    fn a_gateway_that_fails_calls_is_the_last_resort_until_a_call_succeeds() {
        let mut scene = Scene::new(true);
        assert_eq!(scene.observe(&[Observation::Failed; 2]), Availability::Ready);
        assert_eq!(scene.observe(&[Observation::Failed]), Availability::LastResort);
        assert_eq!(
            scene.observe(&[Observation::ProbeAnswered]),
            Availability::LastResort,
            "it answered probes all the time"
        );
        scene.now += MIN_OPEN_TIME;
        assert_eq!(scene.availability(), Availability::Trial);
        assert_eq!(scene.observe(&[Observation::Works]), Availability::Ready);
    }

    #[test]
    fn retry_after_is_honoured_and_blocks_all_calls_after_two_in_a_row() {
        let mut scene = Scene::new(true);
        assert_eq!(scene.observe(&[Observation::Throttled(17)]), Availability::LastResort);
        assert_eq!(scene.observe(&[Observation::Works]), Availability::Ready);
        assert_eq!(scene.observe(&[Observation::Throttled(17)]), Availability::LastResort);
        scene.now += S;
        assert_eq!(scene.observe(&[Observation::Throttled(3)]), Availability::Unavailable);
        assert_eq!(scene.breaker.retry_after(scene.now), Some(16 * S));
        scene.now += 16 * S;
        assert_eq!(scene.availability(), Availability::Ready);
        scene.observe(&[Observation::Throttled(u32::MAX); 2]);
        assert_eq!(scene.breaker.retry_after(scene.now), Some(MAX_RETRY_AFTER));
    }

    #[test]
    fn a_trial_without_a_result_times_out() {
        let mut scene = Scene::new(false);
        scene.observe(&[Observation::SilentCall; 3]);
        scene.now += MIN_OPEN_TIME;
        scene.breaker.begin_trial(scene.now);
        scene.now += TRIAL_TIMEOUT;
        assert_eq!(scene.availability(), Availability::Trial);
    }

    #[test]
    fn the_open_time_grows_to_its_maximum() {
        let mut scene = Scene::new(false);
        scene.observe(&[Observation::SilentCall; 3]);
        for _ in 0..10 {
            scene.now += MAX_OPEN_TIME;
            assert_eq!(scene.availability(), Availability::Trial);
            scene.breaker.begin_trial(scene.now);
            scene.observe(&[Observation::SilentCall]);
        }
    }
}
