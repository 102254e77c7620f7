//! Being registered at a gateway (RFC 3261 §10.2): what was granted, and what is to be done when.
//!
//! Pure: answers, time and randomness come in; what comes out is when to ask again and for how long.

use std::time::{Duration, Instant};

use super::SipAnswer;

/// The wait after the first failure; twice as long after each further one.
pub const FIRST_RETRY: Duration = Duration::from_secs(2);
pub const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// A longer registration than this is renewed as if it were this long.
const LONGEST_TERM: Duration = Duration::from_secs(86_400);

/// Where a registration stands.
///
/// | state | answer | next |
/// |---|---|---|
/// | any | 2xx that grants some time | Registered; asks again before it ends |
/// | any | 423 with a longer time | asks at once for that time |
/// | Registered | anything else | Registered until its time ends, asks again soon |
/// | others | anything else | Failed; asks again later and later |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegistrationState {
    /// The first answer has not come yet.
    Asking,
    Registered {
        until: Instant,
    },
    /// With the status code, where there was an answer.
    Failed {
        code: Option<u16>,
    },
}

/// One registration.
#[derive(Clone, Debug)]
pub struct Registration {
    state: RegistrationState,
    /// What is asked for.
    expires_seconds: u32,
    failures: u32,
    ask_at: Instant,
}

impl Registration {
    /// Not registered, and to be asked for at once.
    pub fn new(expires_seconds: u32, now: Instant) -> Registration {
        Registration {
            state: RegistrationState::Asking,
            expires_seconds,
            failures: 0,
            ask_at: now,
        }
    }

    /// Where it stands now: a registration that was not renewed in time has failed.
    pub fn state(&self, now: Instant) -> RegistrationState {
        match self.state {
            RegistrationState::Registered { until } if until <= now => {
                RegistrationState::Failed { code: None }
            }
            state => state,
        }
    }

    /// The seconds to ask for.
    pub fn expires_seconds(&self) -> u32 {
        self.expires_seconds
    }

    /// When to ask next.
    pub fn ask_at(&self) -> Instant {
        self.ask_at
    }

    /// Takes an answer. `random` is evenly spread over all of `u32`: it keeps many registrations from
    /// coming together.
    pub fn answered(&mut self, answer: &SipAnswer, now: Instant, random: u32) {
        let (code, retry_after_seconds) = match answer {
            SipAnswer::Answered {
                code: 200..=299,
                expires_seconds: Some(granted),
                ..
            } if *granted > 0 => return self.granted(*granted, now, random),
            SipAnswer::Answered {
                code: 423,
                min_expires_seconds: Some(least),
                ..
            } if *least > self.expires_seconds => {
                self.expires_seconds = *least;
                self.ask_at = now;
                return;
            }
            SipAnswer::Answered {
                code,
                retry_after_seconds,
                ..
            } => (Some(*code), *retry_after_seconds),
            SipAnswer::Silent { .. } | SipAnswer::TransportFailed { .. } => (None, None),
        };
        if let RegistrationState::Registered { until } = self.state
            && until > now
        {
            self.failures += 1;
        } else {
            self.failures += 1;
            self.state = RegistrationState::Failed { code };
        }
        let doubled = FIRST_RETRY * 2_u32.saturating_pow(self.failures.min(16) - 1);
        let wait = doubled.min(LONGEST_RETRY);
        // RFC 5626 §4.5: between half and all of it.
        let wait = wait / 2 + scaled(wait / 2, random);
        let asked = Duration::from_secs(retry_after_seconds.unwrap_or(0).into()).min(LONGEST_RETRY);
        self.ask_at = now + wait.max(asked);
    }

    fn granted(&mut self, seconds: u32, now: Instant, random: u32) {
        let term = Duration::from_secs(seconds.into()).min(LONGEST_TERM);
        self.failures = 0;
        self.state = RegistrationState::Registered { until: now + term };
        // After 75 to 90 %: time for the answer to be lost more than once.
        self.ask_at = now + term * 3 / 4 + scaled(term * 3 / 20, random);
    }
}

/// An even share of `whole`.
fn scaled(whole: Duration, random: u32) -> Duration {
    whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16) -> SipAnswer {
        SipAnswer::Answered {
            code,
            cseq: 1,
            round_trip: Duration::ZERO,
            expires_seconds: Some(300),
            min_expires_seconds: None,
            retry_after_seconds: None,
        }
    }

    #[test]
    fn what_is_granted_is_renewed_before_it_ends() {
        let now = Instant::now();
        for random in [0, u32::MAX / 2, u32::MAX] {
            let mut registration = Registration::new(300, now);
            assert_eq!(registration.ask_at(), now);
            registration.answered(&answer(200), now, random);
            let wait = (registration.ask_at() - now).as_secs_f64();
            assert!((225.0..=270.0).contains(&wait), "{wait}");
            let until = now + Duration::from_secs(300);
            let registered = RegistrationState::Registered { until };
            assert_eq!(registration.state(now), registered);
            let failed = RegistrationState::Failed { code: None };
            assert_eq!(registration.state(until), failed);
        }
    }

    #[test]
    fn a_registrar_that_wants_a_longer_time_is_asked_for_it_at_once_and_no_loop_comes_of_it() {
        let now = Instant::now();
        let mut registration = Registration::new(300, now);
        let brief = |least| SipAnswer::Answered {
            code: 423,
            cseq: 1,
            round_trip: Duration::ZERO,
            expires_seconds: None,
            min_expires_seconds: Some(least),
            retry_after_seconds: None,
        };
        registration.answered(&brief(1800), now, 0);
        assert_eq!(registration.expires_seconds(), 1800);
        assert_eq!(registration.ask_at(), now);
        registration.answered(&brief(1800), now, 0);
        assert!(registration.ask_at() > now, "it got what it wanted");
        let failed = RegistrationState::Failed { code: Some(423) };
        assert_eq!(registration.state(now), failed);
    }

    #[test]
    fn failures_are_retried_later_and_later_and_never_together() {
        let now = Instant::now();
        let mut registration = Registration::new(300, now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            registration.answered(&SipAnswer::Silent { cseq: 1 }, now, 0);
            let shortest = registration.ask_at() - now;
            waits.push(shortest.as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 150, 150, 150, 150]);
        registration.answered(&answer(403), now, u32::MAX);
        assert_eq!(registration.ask_at() - now, LONGEST_RETRY);
        let failed = RegistrationState::Failed { code: Some(403) };
        assert_eq!(registration.state(now), failed);
    }

    #[test]
    fn retry_after_is_waited_for() {
        let now = Instant::now();
        let mut registration = Registration::new(300, now);
        let throttled = SipAnswer::Answered {
            code: 503,
            cseq: 1,
            round_trip: Duration::ZERO,
            expires_seconds: None,
            min_expires_seconds: None,
            retry_after_seconds: Some(40),
        };
        registration.answered(&throttled, now, 0);
        assert_eq!(registration.ask_at() - now, Duration::from_secs(40));
    }

    #[test]
    fn a_failed_renewal_leaves_what_was_granted() {
        let now = Instant::now();
        let mut registration = Registration::new(300, now);
        registration.answered(&answer(200), now, 0);
        let later = now + Duration::from_secs(230);
        registration.answered(&SipAnswer::Silent { cseq: 2 }, later, 0);
        let until = now + Duration::from_secs(300);
        let registered = RegistrationState::Registered { until };
        assert_eq!(registration.state(later), registered);
        assert_eq!(registration.ask_at(), later + FIRST_RETRY / 2);
    }
}
