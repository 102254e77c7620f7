//! The registration at a gateway (RFC 3261 §10.2): its state, and when to send the next REGISTER.
//!
//! Pure: outcomes, the time and random numbers are arguments.

use std::time::{Duration, Instant};

use super::RequestOutcome;

/// The wait after the first failure. It doubles with each further failure, up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(2);
const MAX_RETRY: Duration = Duration::from_secs(300);
/// Longer registrations are renewed as if they had this term.
const MAX_TERM: Duration = Duration::from_secs(86_400);

/// The state of a registration.
///
/// | state | outcome | next |
/// |---|---|---|
/// | any | 2xx with a term above 0 | Registered; renewed before the term ends |
/// | any | 423 with a longer minimum | requests that term at once |
/// | Registered | anything else | Registered until the term ends; retried with back-off |
/// | others | anything else | Failed; retried with back-off |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegistrationState {
    /// There is no outcome yet.
    Registering,
    Registered {
        until: Instant,
    },
    /// With the status code, if there was a response.
    Failed {
        code: Option<u16>,
    },
}

/// One registration.
#[derive(Clone, Debug)]
pub struct Registration {
    state: RegistrationState,
    /// The term to request.
    expires_seconds: u32,
    failures: u32,
    next_attempt_at: Instant,
}

impl Registration {
    /// A registration that is due at once.
    pub fn new(expires_seconds: u32, now: Instant) -> Registration {
        Registration {
            state: RegistrationState::Registering,
            expires_seconds,
            failures: 0,
            next_attempt_at: now,
        }
    }

    /// The state at this time. A registration that was not renewed in time has failed.
    pub fn state(&self, now: Instant) -> RegistrationState {
        match self.state {
            RegistrationState::Registered { until } if until <= now => {
                RegistrationState::Failed { code: None }
            }
            state => state,
        }
    }

    /// The term to request, in seconds.
    pub fn expires_seconds(&self) -> u32 {
        self.expires_seconds
    }

    /// When to send the next REGISTER.
    pub fn next_attempt_at(&self) -> Instant {
        self.next_attempt_at
    }

    /// Takes the outcome of a REGISTER. `random` is uniform over `u32`; it spreads many registrations in time.
    pub fn handle_outcome(&mut self, outcome: &RequestOutcome, now: Instant, random: u32) {
        let (code, retry_after_seconds) = match outcome {
            RequestOutcome::Answered {
                code: 200..=299, expires_seconds: Some(granted), ..
            } if *granted > 0 => return self.granted(*granted, now, random),
            RequestOutcome::Answered { code: 423, min_expires_seconds: Some(minimum), .. }
                if *minimum > self.expires_seconds =>
            {
                self.expires_seconds = *minimum;
                self.next_attempt_at = now;
                return;
            }
            RequestOutcome::Answered { code, retry_after_seconds, .. } => {
                (Some(*code), *retry_after_seconds)
            }
            RequestOutcome::TimedOut { .. } | RequestOutcome::TransportFailed { .. } => {
                (None, None)
            }
        };
        self.failures += 1;
        let is_registered =
            matches!(self.state, RegistrationState::Registered { until } if until > now);
        if !is_registered {
            self.state = RegistrationState::Failed { code };
        }
        let doubled = FIRST_RETRY * 2_u32.saturating_pow(self.failures.min(16) - 1);
        let wait = doubled.min(MAX_RETRY);
        // RFC 5626 §4.5: between 50 and 100 %.
        let wait = wait / 2 + random_share(wait / 2, random);
        let requested = Duration::from_secs(retry_after_seconds.unwrap_or(0).into()).min(MAX_RETRY);
        self.next_attempt_at = now + wait.max(requested);
    }

    fn granted(&mut self, seconds: u32, now: Instant, random: u32) {
        let term = Duration::from_secs(seconds.into()).min(MAX_TERM);
        self.failures = 0;
        self.state = RegistrationState::Registered { until: now + term };
        // After 75 to 90 % of the term, which leaves time for several attempts.
        self.next_attempt_at = now + term * 3 / 4 + random_share(term * 3 / 20, random);
    }
}

/// A uniform random share of `whole`.
fn random_share(whole: Duration, random: u32) -> Duration {
    whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(code: u16) -> RequestOutcome {
        RequestOutcome::Answered {
            code,
            cseq: 1,
            round_trip: Duration::ZERO,
            expires_seconds: Some(300),
            min_expires_seconds: None,
            retry_after_seconds: None,
            weak_challenge: None,
        }
    }

    #[test]
    fn a_registration_is_renewed_before_its_term_ends() {
        let now = Instant::now();
        for random in [0, u32::MAX / 2, u32::MAX] {
            let mut registration = Registration::new(300, now);
            assert_eq!(registration.next_attempt_at(), now);
            registration.handle_outcome(&response(200), now, random);
            let wait = (registration.next_attempt_at() - now).as_secs_f64();
            assert!((225.0..=270.0).contains(&wait), "{wait}");
            let until = now + Duration::from_secs(300);
            let registered = RegistrationState::Registered { until };
            assert_eq!(registration.state(now), registered);
            let failed = RegistrationState::Failed { code: None };
            assert_eq!(registration.state(until), failed);
        }
    }

    #[test]
    fn a_longer_minimum_term_is_requested_at_once_but_only_once() {
        let now = Instant::now();
        let mut registration = Registration::new(300, now);
        let interval_too_brief = |minimum| RequestOutcome::Answered {
            code: 423,
            cseq: 1,
            round_trip: Duration::ZERO,
            expires_seconds: None,
            min_expires_seconds: Some(minimum),
            retry_after_seconds: None,
            weak_challenge: None,
        };
        registration.handle_outcome(&interval_too_brief(1800), now, 0);
        assert_eq!(registration.expires_seconds(), 1800);
        assert_eq!(registration.next_attempt_at(), now);
        registration.handle_outcome(&interval_too_brief(1800), now, 0);
        assert!(registration.next_attempt_at() > now, "the minimum was already requested");
        let failed = RegistrationState::Failed { code: Some(423) };
        assert_eq!(registration.state(now), failed);
    }

    #[test]
    fn failures_are_retried_with_back_off_and_jitter() {
        let now = Instant::now();
        let mut registration = Registration::new(300, now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            registration.handle_outcome(&RequestOutcome::TimedOut { cseq: 1 }, now, 0);
            let shortest = registration.next_attempt_at() - now;
            waits.push(shortest.as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 150, 150, 150, 150]);
        registration.handle_outcome(&response(403), now, u32::MAX);
        assert_eq!(registration.next_attempt_at() - now, MAX_RETRY);
        let failed = RegistrationState::Failed { code: Some(403) };
        assert_eq!(registration.state(now), failed);
    }

    #[test]
    fn retry_after_delays_the_next_attempt() {
        let now = Instant::now();
        let mut registration = Registration::new(300, now);
        let throttled = RequestOutcome::Answered {
            code: 503,
            cseq: 1,
            round_trip: Duration::ZERO,
            expires_seconds: None,
            min_expires_seconds: None,
            retry_after_seconds: Some(40),
            weak_challenge: None,
        };
        registration.handle_outcome(&throttled, now, 0);
        assert_eq!(registration.next_attempt_at() - now, Duration::from_secs(40));
    }

    #[test]
    fn a_failed_renewal_keeps_the_current_term() {
        let now = Instant::now();
        let mut registration = Registration::new(300, now);
        registration.handle_outcome(&response(200), now, 0);
        let later = now + Duration::from_secs(230);
        registration.handle_outcome(&RequestOutcome::TimedOut { cseq: 2 }, later, 0);
        let until = now + Duration::from_secs(300);
        let registered = RegistrationState::Registered { until };
        assert_eq!(registration.state(later), registered);
        assert_eq!(registration.next_attempt_at(), later + FIRST_RETRY / 2);
    }
}
