//! A gateway's circuit breaker: whether calls are sent to it, judged by what calls and probes came to.
//!
//! Pure: time comes in. A gateway is judged in three ways that do not mix: whether it is *there*
//! (anything it says proves that), whether it *works* (5xx answers in a row say that it does not), and
//! whether it has asked for *peace* (`Retry-After`).

use std::time::{Duration, Instant};

/// Calls in a row without any answer, or failed by the gateway, until it is set apart.
pub const STRIKES: u32 = 3;
/// Probes in a row without any answer, until it is.
pub const SILENT_PROBES: u32 = 2;
/// How long it is set apart the first time; twice as long each further time.
pub const SHORTEST_REST: Duration = Duration::from_secs(5);
pub const LONGEST_REST: Duration = Duration::from_secs(60);
/// A trial that is never reported, as when its call is given up, is forgotten.
const TRIAL_FORGOTTEN_AFTER: Duration = Duration::from_secs(15);
/// A longer peace is not believed.
pub const LONGEST_PEACE: Duration = Duration::from_secs(300);

/// What one call or probe says about its gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// The gateway took a call, or gave a number's own answer: it is there and works.
    Works,
    /// A call got no answer at all, or its transport failed.
    SilentCall,
    /// A call was answered 5xx or 408 before anything else: it is there and does not work.
    Failed,
    /// A call was answered 503 or 429 with `Retry-After`, in seconds.
    Throttled(u32),
    /// A probe was answered.
    ProbeAnswered,
    /// A probe was not.
    ProbeSilent,
}

/// Whether a call may go to a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Like any other.
    Ready,
    /// Only where no other is ready.
    LastResort,
    /// One call may find out whether it is back.
    Trial,
    /// None.
    Shut,
}

/// Why a gateway is set apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    Silent,
    Failing,
}

/// | state | sign | next |
/// |---|---|---|
/// | Closed | 3 silent calls, 3 failed ones, or 2 silent probes in a row | Open |
/// | Closed | it works | Closed, the counts at 0 |
/// | Open | its rest is over | a call may be the trial |
/// | Open, Trial | it works; a probe is answered, where silence was the cause | Closed |
/// | Trial | the trial's call fails | Open, for twice as long |
/// | Trial | nothing for 15 s | as Open |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed,
    Open { until: Instant, cause: Cause },
    Trial { since: Instant, cause: Cause },
}

/// A gateway's breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    silent_calls: u32,
    failed_calls: u32,
    silent_probes: u32,
    rest: Duration,
    /// Until when the gateway wants no calls, and how often in a row it has said so.
    peace_until: Option<Instant>,
    throttles: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            state: State::Closed,
            silent_calls: 0,
            failed_calls: 0,
            silent_probes: 0,
            rest: SHORTEST_REST,
            peace_until: None,
            throttles: 0,
        }
    }
}

impl Breaker {
    /// Whether a call may go to the gateway now. Where silence set apart one that is probed, the probes
    /// find out by themselves, and no call is risked as long as another gateway is ready.
    pub fn standing(&self, is_probed: bool, now: Instant) -> Standing {
        let trial = |cause| match cause == Cause::Silent && is_probed {
            true => Standing::LastResort,
            false => Standing::Trial,
        };
        let by_state = match self.state {
            State::Closed => Standing::Ready,
            State::Open { until, cause } if until <= now => trial(cause),
            State::Trial { since, cause } if since + TRIAL_FORGOTTEN_AFTER <= now => trial(cause),
            State::Open { cause, .. } | State::Trial { cause, .. } => match cause {
                // It answers fast: when there is no other, a call costs nothing but the asking.
                Cause::Failing => Standing::LastResort,
                Cause::Silent => Standing::Shut,
            },
        };
        match (self.peace_left(now), by_state) {
            (None, standing) => standing,
            // Once may be about one number; twice in a row is about the gateway.
            (Some(_), Standing::Ready | Standing::LastResort) if self.throttles == 1 => {
                Standing::LastResort
            }
            (Some(_), _) => Standing::Shut,
        }
    }

    /// How long the gateway still wants no calls.
    pub fn peace_left(&self, now: Instant) -> Option<Duration> {
        let left = self.peace_until?.checked_duration_since(now)?;
        (!left.is_zero()).then_some(left)
    }

    /// Whether the gateway is set apart. Operators see it as down.
    pub fn is_open(&self) -> bool {
        match self.state {
            State::Closed => false,
            State::Open { .. } | State::Trial { .. } => true,
        }
    }

    /// Whether silence makes it doubtful that anybody is there, so that a probe should ask at once.
    pub fn is_in_doubt(&self) -> bool {
        self.silent_calls + 1 >= STRIKES || self.silent_probes > 0 || self.is_open()
    }

    /// A call is sent as the trial.
    pub fn begin_trial(&mut self, now: Instant) {
        if let State::Open { cause, .. } | State::Trial { cause, .. } = self.state {
            self.state = State::Trial { since: now, cause };
        }
    }

    /// Takes a sign. `is_probed`: silence of calls alone does not shut a gateway that answers probes.
    pub fn note(&mut self, sign: Sign, is_probed: bool, now: Instant) {
        match sign {
            Sign::Works => *self = Breaker::default(),
            Sign::Throttled(seconds) => {
                let asked = Duration::from_secs(seconds.into()).min(LONGEST_PEACE);
                self.throttles += 1;
                self.peace_until = self.peace_until.max(Some(now + asked));
                self.heard();
                if let State::Trial { .. } = self.state {
                    self.close();
                }
            }
            Sign::Failed => {
                self.heard();
                self.failed_calls += 1;
                match self.state {
                    State::Trial { .. } => self.open(Cause::Failing, now),
                    State::Closed if self.failed_calls >= STRIKES => {
                        self.open(Cause::Failing, now);
                    }
                    State::Closed | State::Open { .. } => {}
                }
            }
            Sign::SilentCall => {
                self.silent_calls += 1;
                match self.state {
                    State::Trial { .. } => self.open(Cause::Silent, now),
                    State::Closed if self.silent_calls >= STRIKES && !is_probed => {
                        self.open(Cause::Silent, now);
                    }
                    State::Closed | State::Open { .. } => {}
                }
            }
            Sign::ProbeAnswered => {
                self.heard();
                match self.state {
                    State::Open { cause, .. } | State::Trial { cause, .. } => {
                        if cause == Cause::Silent {
                            self.close();
                        }
                    }
                    State::Closed => {}
                }
            }
            Sign::ProbeSilent => {
                self.silent_probes += 1;
                let is_shut = self.silent_probes >= SILENT_PROBES
                    || (self.silent_calls >= STRIKES && self.silent_probes > 0);
                if is_shut && self.state == State::Closed {
                    // Some gateways answer no OPTIONS: as long as no call says so, one may try.
                    let until = match self.silent_calls {
                        0 => now,
                        _ => now + self.rest,
                    };
                    let cause = Cause::Silent;
                    self.state = State::Open { until, cause };
                }
            }
        }
    }

    /// Somebody is there.
    fn heard(&mut self) {
        (self.silent_calls, self.silent_probes) = (0, 0);
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.rest = SHORTEST_REST;
        (self.silent_calls, self.failed_calls, self.silent_probes) = (0, 0, 0);
    }

    fn open(&mut self, cause: Cause, now: Instant) {
        let until = now + self.rest;
        self.state = State::Open { until, cause };
        self.rest = (self.rest * 2).min(LONGEST_REST);
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
            Scene {
                breaker: Breaker::default(),
                now: Instant::now(),
                is_probed,
            }
        }

        fn note(&mut self, signs: &[Sign]) -> Standing {
            for sign in signs {
                self.breaker.note(*sign, self.is_probed, self.now);
            }
            self.standing()
        }

        fn standing(&self) -> Standing {
            self.breaker.standing(self.is_probed, self.now)
        }
    }

    #[test]
    fn three_silent_calls_in_a_row_shut_a_gateway_that_is_not_probed() {
        let mut scene = Scene::new(false);
        let silent = Sign::SilentCall;
        assert_eq!(scene.note(&[silent, silent]), Standing::Ready);
        assert_eq!(scene.note(&[Sign::Works, silent, silent]), Standing::Ready);
        assert_eq!(scene.note(&[silent]), Standing::Shut);
        assert!(scene.breaker.is_open());
        scene.now += SHORTEST_REST;
        assert_eq!(scene.standing(), Standing::Trial);
        scene.breaker.begin_trial(scene.now);
        assert_eq!(scene.standing(), Standing::Shut, "one trial at a time");
        assert_eq!(scene.note(&[silent]), Standing::Shut);
        scene.now += SHORTEST_REST;
        assert_eq!(scene.standing(), Standing::Shut, "twice as long");
        scene.now += SHORTEST_REST;
        assert_eq!(scene.standing(), Standing::Trial);
        scene.breaker.begin_trial(scene.now);
        assert_eq!(scene.note(&[Sign::Works]), Standing::Ready);
        assert!(!scene.breaker.is_open());
    }

    #[test]
    fn a_gateway_that_answers_probes_is_not_shut_by_silent_numbers() {
        let mut scene = Scene::new(true);
        let silent = Sign::SilentCall;
        assert_eq!(scene.note(&[silent; 5]), Standing::Ready);
        assert!(scene.breaker.is_in_doubt(), "a probe should ask");
        assert_eq!(scene.note(&[Sign::ProbeAnswered]), Standing::Ready);
        assert!(!scene.breaker.is_in_doubt());
        assert_eq!(scene.note(&[silent; 3]), Standing::Ready);
        assert_eq!(scene.note(&[Sign::ProbeSilent]), Standing::Shut);
        assert_eq!(scene.note(&[Sign::ProbeAnswered]), Standing::Ready);
    }

    #[test]
    fn a_gateway_that_answers_no_options_still_gets_a_call_to_prove_itself() {
        let mut scene = Scene::new(true);
        assert_eq!(scene.note(&[Sign::ProbeSilent]), Standing::Ready);
        assert_eq!(scene.note(&[Sign::ProbeSilent]), Standing::LastResort);
        scene.breaker.begin_trial(scene.now);
        assert_eq!(scene.standing(), Standing::Shut, "one call at a time");
        assert!(scene.breaker.is_open());
        assert_eq!(scene.note(&[Sign::Works]), Standing::Ready);
    }

    #[test]
    fn a_gateway_that_fails_calls_is_the_last_resort_until_one_succeeds() {
        let mut scene = Scene::new(true);
        assert_eq!(scene.note(&[Sign::Failed; 2]), Standing::Ready);
        assert_eq!(scene.note(&[Sign::Failed]), Standing::LastResort);
        assert_eq!(
            scene.note(&[Sign::ProbeAnswered]),
            Standing::LastResort,
            "that it answers probes was never in doubt"
        );
        scene.now += SHORTEST_REST;
        assert_eq!(scene.standing(), Standing::Trial);
        assert_eq!(scene.note(&[Sign::Works]), Standing::Ready);
    }

    #[test]
    fn retry_after_is_honoured_and_twice_in_a_row_for_every_number() {
        let mut scene = Scene::new(true);
        assert_eq!(scene.note(&[Sign::Throttled(17)]), Standing::LastResort);
        assert_eq!(scene.note(&[Sign::Works]), Standing::Ready);
        assert_eq!(scene.note(&[Sign::Throttled(17)]), Standing::LastResort);
        scene.now += S;
        assert_eq!(scene.note(&[Sign::Throttled(3)]), Standing::Shut);
        assert_eq!(scene.breaker.peace_left(scene.now), Some(16 * S));
        scene.now += 16 * S;
        assert_eq!(scene.standing(), Standing::Ready);
        scene.note(&[Sign::Throttled(u32::MAX); 2]);
        assert_eq!(scene.breaker.peace_left(scene.now), Some(LONGEST_PEACE));
    }

    #[test]
    fn a_trial_that_is_never_reported_is_forgotten() {
        let mut scene = Scene::new(false);
        scene.note(&[Sign::SilentCall; 3]);
        scene.now += SHORTEST_REST;
        scene.breaker.begin_trial(scene.now);
        scene.now += TRIAL_FORGOTTEN_AFTER;
        assert_eq!(scene.standing(), Standing::Trial);
    }

    #[test]
    fn rests_grow_to_the_longest_and_no_further() {
        let mut scene = Scene::new(false);
        scene.note(&[Sign::SilentCall; 3]);
        for _ in 0..10 {
            scene.now += LONGEST_REST;
            assert_eq!(scene.standing(), Standing::Trial);
            scene.breaker.begin_trial(scene.now);
            scene.note(&[Sign::SilentCall]);
        }
    }
}
