//! What is known of a gateway while the process runs: where it is, whether it is there, how far away,
//! whether we are registered, and how it failed last.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use metrics::Gauge;
use nexo_domain::call::Refusal;
use nexo_domain::call::breaker::{Breaker, Sign, Standing};
use nexo_voice::endpoint::Traced;
use nexo_voice::sip::message::hop::Hop;
use nexo_voice::sip::user_agent::registration::RegistrationState;
use tokio::sync::Notify;

use crate::clock;

/// How long a gateway that does not know us, though it took our registration, is not asked again.
const REGISTER_ANEW_AFTER: Duration = Duration::from_secs(30);

/// How a gateway is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judged {
    /// Never: the built-in carrier, whose numbers only play failures.
    Never,
    /// By its calls.
    ByCalls,
    /// By its calls and by probes.
    ByCallsAndProbes,
}

/// The last thing that went wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub at_ms: i64,
    /// Such as `no answer` or `503`. Nothing of the number.
    pub what: String,
}

/// Whether we are registered, as operators see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registered {
    /// The gateway does not ask for it.
    NotAsked,
    /// The first answer has not come yet.
    Asking,
    Yes,
    /// With the status code, where there was an answer.
    No(Option<u16>),
}

/// The state. Read by the carrier's actor on each call, written by the saga and by the trunk's watch.
#[derive(Debug)]
pub struct GatewayState {
    judged: Judged,
    /// Whether an operator wants no new calls there.
    is_drained: AtomicBool,
    breaker: Mutex<Breaker>,
    registration: Mutex<Option<RegistrationState>>,
    last_failure: Mutex<Option<Failure>>,
    /// In the order in which they are tried. Empty: the name does not resolve.
    targets: ArcSwap<Vec<Hop>>,
    round_trip_us: AtomicU64,
    /// The last probe's messages.
    probe_ladder: Mutex<Vec<Traced>>,
    /// Rung when silence makes it doubtful that the gateway is there.
    pub doubt: Notify,
    /// Rung when it may have forgotten who is registered: it was down and is back, or does not know us.
    pub returned: Notify,
    /// When it last refused us as one whom it does not know.
    unknown_to_it: Mutex<Option<Instant>>,
    meters: Mutex<Option<Meters>>,
}

#[derive(Clone, Debug)]
struct Meters {
    up: Gauge,
    /// Where it wants us to register, and where it is probed: no figure is better than a wrong one.
    registered: Option<Gauge>,
    round_trip: Option<Gauge>,
}

impl GatewayState {
    /// `registers`: calls wait for a registration.
    pub fn new(judged: Judged, registers: bool, targets: Vec<Hop>) -> Arc<GatewayState> {
        Arc::new(GatewayState {
            judged,
            is_drained: AtomicBool::new(false),
            breaker: Mutex::default(),
            registration: Mutex::new(registers.then_some(RegistrationState::Asking)),
            last_failure: Mutex::default(),
            targets: ArcSwap::from_pointee(targets),
            round_trip_us: AtomicU64::new(0),
            probe_ladder: Mutex::default(),
            doubt: Notify::new(),
            returned: Notify::new(),
            unknown_to_it: Mutex::default(),
            meters: Mutex::default(),
        })
    }

    /// Shows the state as metrics from now on.
    pub fn meter(&self, carrier: &'static str, gateway: &str) {
        let label = || gateway.to_owned();
        *locked(&self.meters) = Some(Meters {
            up: metrics::gauge!("nexo_gateway_up", "carrier" => carrier, "gateway" => label()),
            registered: locked(&self.registration).is_some().then(
                || metrics::gauge!("nexo_gateway_registered", "carrier" => carrier, "gateway" => label()),
            ),
            round_trip: (self.judged == Judged::ByCallsAndProbes).then(
                || metrics::gauge!("nexo_gateway_round_trip_seconds", "carrier" => carrier, "gateway" => label()),
            ),
        });
        self.show();
    }

    /// Shows nothing any more: the gateway is no longer configured, and is neither up nor down.
    pub fn unmeter(&self) {
        if let Some(meters) = locked(&self.meters).take() {
            let gauges = [Some(meters.up), meters.registered, meters.round_trip];
            for gauge in gauges.into_iter().flatten() {
                gauge.set(f64::NAN);
            }
        }
    }

    /// Where it is, in the order in which it is tried.
    pub fn targets(&self) -> Arc<Vec<Hop>> {
        self.targets.load_full()
    }

    /// Takes over where DNS says that it is. Whether that is news.
    pub fn moved(&self, targets: Vec<Hop>) -> bool {
        let mut before = self.targets.load().as_ref().clone();
        let mut after = targets.clone();
        before.sort_unstable();
        after.sort_unstable();
        let is_news = before != after;
        if is_news {
            self.targets.store(Arc::new(targets));
        }
        is_news
    }

    /// Takes the gateway out of service for new calls, or back into it. Calls in progress go on.
    pub fn drain(&self, drained: bool) {
        self.is_drained.store(drained, Ordering::Release);
    }

    /// Whether an operator wants no new calls there.
    pub fn is_drained(&self) -> bool {
        self.is_drained.load(Ordering::Acquire)
    }

    /// Whether a call may go there now.
    pub fn standing(&self, now: Instant) -> Standing {
        if self.is_drained() {
            return Standing::Shut;
        }
        let is_probed = self.judged == Judged::ByCallsAndProbes;
        let by_breaker = match self.judged {
            Judged::Never => Standing::Ready,
            Judged::ByCalls | Judged::ByCallsAndProbes => {
                locked(&self.breaker).standing(is_probed, now)
            }
        };
        match (by_breaker, self.registered(now)) {
            // It may take calls all the same, but one that we are registered with is the better bet.
            (Standing::Ready | Standing::Trial, Registered::Asking | Registered::No(_)) => {
                Standing::LastResort
            }
            (standing, _) => standing,
        }
    }

    /// A call is sent there.
    pub fn begin(&self, now: Instant) {
        if self.judged != Judged::Never {
            locked(&self.breaker).begin_trial(now);
        }
    }

    /// How long the gateway still wants no calls.
    pub fn peace_left(&self, now: Instant) -> Option<Duration> {
        match self.judged {
            Judged::Never => None,
            Judged::ByCalls | Judged::ByCallsAndProbes => locked(&self.breaker).peace_left(now),
        }
    }

    /// The gateway took a call.
    pub fn accepted(&self) {
        self.note(Sign::Works, Instant::now());
    }

    /// A call to `target` was not accepted.
    pub fn refused(&self, refusal: &Refusal, target: Hop) {
        let now = Instant::now();
        let sign = match refusal {
            Refusal::Abandoned => return,
            Refusal::Silent | Refusal::TransportLost => {
                self.demote(target);
                Sign::SilentCall
            }
            Refusal::Rejected {
                code: 429 | 503,
                retry_after_seconds: Some(seconds),
            } => Sign::Throttled(*seconds),
            // It does not know us, or not any more.
            Refusal::Rejected {
                code: 401 | 407 | 408 | 500..=599,
                ..
            } => Sign::Failed,
            Refusal::Rejected { .. } => Sign::Works,
        };
        let what = match refusal {
            Refusal::Abandoned => return,
            Refusal::Silent => "no answer to a call".to_owned(),
            Refusal::TransportLost => "a call could not be sent".to_owned(),
            Refusal::Rejected { code, .. } => format!("a call was answered {code}"),
        };
        if sign != Sign::Works {
            self.failed(what);
        }
        if let Refusal::Rejected {
            code: 401 | 403 | 407,
            ..
        } = refusal
        {
            self.doubt_registration(now);
        }
        self.note(sign, now);
    }

    /// A registrar that was restarted between two probes knows nobody any more. One that only does not
    /// like a number is not asked for each call.
    fn doubt_registration(&self, now: Instant) {
        let mut last = locked(&self.unknown_to_it);
        let is_due = last.is_none_or(|at| now.saturating_duration_since(at) >= REGISTER_ANEW_AFTER);
        if is_due && self.registered(now) == Registered::Yes {
            *last = Some(now);
            self.returned.notify_one();
        }
    }

    /// A probe was answered after so long, or not at all; `why` the connection failed, where it did.
    pub fn probed(&self, round_trip: Option<Duration>, why: Option<&str>) {
        let now = Instant::now();
        match round_trip {
            Some(round_trip) => {
                let micros = (round_trip.as_micros() as u64).max(1);
                self.round_trip_us.store(micros, Ordering::Relaxed);
                self.note(Sign::ProbeAnswered, now);
            }
            None => {
                self.failed(because("no answer to a probe", why));
                self.note(Sign::ProbeSilent, now);
            }
        }
    }

    /// Keeps the messages of the last probe.
    pub fn probe_passed(&self, ladder: Vec<Traced>) {
        *locked(&self.probe_ladder) = ladder;
    }

    /// The messages of the last probe.
    pub fn probe_ladder(&self) -> Vec<Traced> {
        locked(&self.probe_ladder).clone()
    }

    /// Notes how the registration stands; `why` the connection failed, where it did.
    pub fn registration(&self, state: RegistrationState, why: Option<&str>) {
        if let RegistrationState::Failed { code } = state {
            self.failed(match code {
                Some(code) => format!("the registration was answered {code}"),
                None => because("no answer to the registration", why),
            });
        }
        *locked(&self.registration) = Some(state);
        self.show();
    }

    /// Notes what went wrong.
    pub fn failed(&self, what: String) {
        let at_ms = clock::unix_ms();
        *locked(&self.last_failure) = Some(Failure { at_ms, what });
    }

    pub fn registered(&self, now: Instant) -> Registered {
        match *locked(&self.registration) {
            None => Registered::NotAsked,
            Some(RegistrationState::Asking) => Registered::Asking,
            Some(RegistrationState::Registered { until }) if until > now => Registered::Yes,
            Some(RegistrationState::Registered { .. }) => Registered::No(None),
            Some(RegistrationState::Failed { code }) => Registered::No(code),
        }
    }

    /// Whether operators and `/readyz` may count on it.
    pub fn is_up(&self) -> bool {
        let is_open = match self.judged {
            Judged::Never => false,
            Judged::ByCalls | Judged::ByCallsAndProbes => locked(&self.breaker).is_open(),
        };
        let is_lost = matches!(self.registered(Instant::now()), Registered::No(_));
        !is_open && !is_lost && !self.targets.load().is_empty()
    }

    /// The last probe's way there and back.
    pub fn round_trip(&self) -> Option<Duration> {
        match self.round_trip_us.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    pub fn last_failure(&self) -> Option<Failure> {
        locked(&self.last_failure).clone()
    }

    /// Takes a sign of life, or of none.
    fn note(&self, sign: Sign, now: Instant) {
        if self.judged == Judged::Never {
            return;
        }
        let mut breaker = locked(&self.breaker);
        let was_open = breaker.is_open();
        breaker.note(sign, self.judged == Judged::ByCallsAndProbes, now);
        let (is_open, in_doubt) = (breaker.is_open(), breaker.is_in_doubt());
        drop(breaker);
        if in_doubt && sign == Sign::SilentCall {
            self.doubt.notify_one();
        }
        if was_open && !is_open {
            self.forget_registration();
        }
        if was_open != is_open || sign == Sign::ProbeAnswered {
            self.show();
        }
    }

    /// A gateway that was down may have been started anew: we register as if for the first time.
    fn forget_registration(&self) {
        if let Some(registration) = locked(&self.registration).as_mut() {
            *registration = RegistrationState::Asking;
            self.returned.notify_one();
        }
    }

    /// Puts a target that did not answer behind the others.
    pub fn demote(&self, target: Hop) {
        let targets = self.targets.load();
        if targets.len() > 1 && targets[0] == target {
            let mut turned = targets.as_ref().clone();
            turned.rotate_left(1);
            self.targets.store(Arc::new(turned));
        }
    }

    fn show(&self) {
        let Some(meters) = locked(&self.meters).clone() else {
            return;
        };
        meters.up.set(if self.is_up() { 1.0 } else { 0.0 });
        if let Some(gauge) = meters.registered {
            let is_registered = self.registered(Instant::now()) == Registered::Yes;
            gauge.set(f64::from(u8::from(is_registered)));
        }
        if let (Some(gauge), Some(round_trip)) = (meters.round_trip, self.round_trip()) {
            gauge.set(round_trip.as_secs_f64());
        }
    }
}

/// Nothing panics while a lock is held.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn because(what: &str, why: Option<&str>) -> String {
    match why {
        Some(why) => format!("{what}: {why}"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn hop(port: u16) -> Hop {
        SocketAddr::from(([127, 0, 0, 1], port)).into()
    }

    #[test]
    fn a_target_that_does_not_answer_goes_behind_the_others() {
        let state = GatewayState::new(Judged::ByCalls, false, vec![hop(1), hop(2), hop(3)]);
        state.refused(&Refusal::Silent, hop(2));
        assert_eq!(
            *state.targets(),
            [hop(1), hop(2), hop(3)],
            "it was not first"
        );
        state.refused(&Refusal::Silent, hop(1));
        assert_eq!(*state.targets(), [hop(2), hop(3), hop(1)]);
        assert!(
            !state.moved(vec![hop(1), hop(2), hop(3)]),
            "the same places"
        );
        assert_eq!(
            state.targets()[0],
            hop(2),
            "the dead one is not first again"
        );
        assert!(state.moved(vec![hop(4)]));
        assert_eq!(*state.targets(), [hop(4)]);
    }

    #[test]
    fn the_built_in_carrier_is_never_judged() {
        let state = GatewayState::new(Judged::Never, false, vec![hop(1)]);
        for _ in 0..10 {
            state.refused(&Refusal::Silent, hop(1));
        }
        assert_eq!(state.standing(Instant::now()), Standing::Ready);
        assert!(state.is_up());
    }

    #[test]
    fn a_gateway_we_are_not_registered_with_is_the_last_resort() {
        let state = GatewayState::new(Judged::ByCalls, true, vec![hop(1)]);
        let now = Instant::now();
        assert_eq!(state.standing(now), Standing::LastResort);
        let until = now + Duration::from_secs(60);
        state.registration(RegistrationState::Registered { until }, None);
        assert_eq!(state.standing(now), Standing::Ready);
        assert!(state.is_up());
        state.registration(RegistrationState::Failed { code: Some(403) }, None);
        assert_eq!(state.registered(now), Registered::No(Some(403)));
        assert!(!state.is_up());
        let failure = state.last_failure().unwrap();
        assert_eq!(failure.what, "the registration was answered 403");
    }

    #[test]
    fn a_numbers_own_answer_says_that_the_gateway_works() {
        let state = GatewayState::new(Judged::ByCalls, false, vec![hop(1)]);
        let rejected = |code| Refusal::Rejected {
            code,
            retry_after_seconds: None,
        };
        for code in [500, 500, 486, 503, 503] {
            state.refused(&rejected(code), hop(1));
        }
        assert_eq!(state.standing(Instant::now()), Standing::Ready);
        assert_eq!(
            state.last_failure().unwrap().what,
            "a call was answered 503"
        );
        state.refused(&rejected(503), hop(1));
        assert_eq!(state.standing(Instant::now()), Standing::LastResort);
    }
}
