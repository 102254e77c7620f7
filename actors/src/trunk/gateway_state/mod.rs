//! The runtime state of a gateway: its targets, whether it is up, its round-trip time, our registration with it, and
//! its last failure.
//!
//! The carrier's actor reads it for each call. Sagas and the trunk monitor write it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use nexo_domain::call::Refusal;
use nexo_domain::call::breaker::{Availability, Breaker, Observation};
use nexo_voice::endpoint::TracedMessage;
use nexo_voice::net::shortage::had_trunk_shortage;
use nexo_voice::sip::message::hop::Hop;
use nexo_voice::sip::user_agent::registration::RegistrationState;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock;
use crate::trunk::meters::GatewayMeters;

/// The shortest time between two registrations that refused calls cause.
const REREGISTER_INTERVAL: Duration = Duration::from_secs(30);

/// After a trunk connection failed of a shortage of this host, calls and probes that could not be sent do not count
/// against their gateways for this long.
const SHORTAGE_MEMORY: Duration = Duration::from_secs(5);
const OWN_SHORTAGE: &str = "this host had no file descriptor or memory for the connection";

/// What decides whether a gateway is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HealthSource {
    /// Nothing: the built-in carrier, whose numbers simulate failures, is always up.
    None,
    /// Its calls.
    Calls,
    /// Its calls and OPTIONS probes.
    CallsAndProbes,
}

/// The last failure of a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub at_ms: i64,
    /// Such as `no answer to a call`. Contains no part of the phone number.
    pub what: String,
}

/// Our registration with a gateway, as operators see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegistrationStatus {
    /// The gateway needs no registration.
    NotRequired,
    /// The first answer has not arrived yet.
    Pending,
    Registered,
    /// With the status code, if there was an answer.
    Failed(Option<u16>),
}

/// The state.
#[derive(Debug)]
pub struct GatewayState {
    health_source: HealthSource,
    /// In the order in which they are tried. Empty: the name does not resolve.
    targets: ArcSwap<Vec<Hop>>,
    inner: Mutex<Inner>,
    /// Notified when silent calls make it doubtful that the gateway is up.
    pub probe_now: Notify,
    /// Notified when the gateway may have lost our registration: it was down and is back, or refuses our calls.
    pub register_now: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Whether an operator has drained the gateway.
    is_drained: bool,
    breaker: Breaker,
    /// `None`: the gateway needs no registration.
    registration: Option<RegistrationState>,
    /// When a refused call last caused a registration.
    reregistered_at: Option<Instant>,
    round_trip: Option<Duration>,
    last_failure: Option<Failure>,
    /// The messages of the last probe.
    probe_ladder: Vec<TracedMessage>,
    meters: Option<GatewayMeters>,
}

impl Inner {
    fn registration(&self, now: Instant) -> RegistrationStatus {
        match self.registration {
            None => RegistrationStatus::NotRequired,
            Some(RegistrationState::Registering) => RegistrationStatus::Pending,
            Some(RegistrationState::Registered { until }) if until > now => {
                RegistrationStatus::Registered
            }
            Some(RegistrationState::Registered { .. }) => RegistrationStatus::Failed(None),
            Some(RegistrationState::Failed { code }) => RegistrationStatus::Failed(code),
        }
    }

    fn record_failure(&mut self, what: String) {
        let at_ms = clock::unix_ms();
        self.last_failure = Some(Failure { at_ms, what });
    }
}

impl GatewayState {
    /// `needs_registration`: calls wait for a registration.
    pub fn new(
        health_source: HealthSource,
        needs_registration: bool,
        targets: Vec<Hop>,
    ) -> Arc<GatewayState> {
        Arc::new(GatewayState {
            health_source,
            targets: ArcSwap::from_pointee(targets),
            inner: Mutex::new(Inner {
                is_drained: false,
                breaker: Breaker::default(),
                registration: needs_registration.then_some(RegistrationState::Registering),
                reregistered_at: None,
                round_trip: None,
                last_failure: None,
                probe_ladder: Vec::new(),
                meters: None,
            }),
            probe_now: Notify::new(),
            register_now: Notify::new(),
        })
    }

    fn has_breaker(&self) -> bool {
        self.health_source != HealthSource::None
    }

    fn is_probed(&self) -> bool {
        self.health_source == HealthSource::CallsAndProbes
    }

    /// Publishes the state as metrics from now on.
    pub fn add_metrics(&self, carrier: &'static str, gateway: &str) {
        let mut inner = self.inner.lock();
        let needs_registration = inner.registration.is_some();
        let meters = GatewayMeters::new(carrier, gateway, needs_registration, self.is_probed());
        inner.meters = Some(meters);
        self.publish(&inner);
    }

    /// Stops publishing metrics, because the gateway is no longer configured.
    pub fn remove_metrics(&self) {
        if let Some(meters) = self.inner.lock().meters.take() {
            meters.clear();
        }
    }

    /// The addresses of the gateway, in the order in which they are tried.
    pub fn targets(&self) -> Arc<Vec<Hop>> {
        self.targets.load_full()
    }

    /// Sets the addresses that DNS returned. Returns whether they have changed. If not, their order is kept.
    pub fn set_targets(&self, targets: Vec<Hop>) -> bool {
        let mut before = self.targets.load().as_ref().clone();
        let mut after = targets.clone();
        before.sort_unstable();
        after.sort_unstable();
        let has_changed = before != after;
        if has_changed {
            self.targets.store(Arc::new(targets));
        }
        has_changed
    }

    /// Takes the gateway out of service for new calls, or back into it. Calls in progress continue.
    pub fn set_drained(&self, is_drained: bool) {
        self.inner.lock().is_drained = is_drained;
    }

    /// Whether an operator has drained the gateway.
    pub fn is_drained(&self) -> bool {
        self.inner.lock().is_drained
    }

    /// Whether a call may be sent there now.
    pub fn availability(&self, now: Instant) -> Availability {
        let inner = self.inner.lock();
        if inner.is_drained {
            return Availability::Unavailable;
        }
        let by_breaker = match self.has_breaker() {
            false => Availability::Ready,
            true => inner.breaker.availability(self.is_probed(), now),
        };
        match (by_breaker, inner.registration(now)) {
            // It may still accept calls, but a registered gateway is preferred.
            (
                Availability::Ready | Availability::Trial,
                RegistrationStatus::Pending | RegistrationStatus::Failed(_),
            ) => Availability::LastResort,
            (availability, _) => availability,
        }
    }

    /// Records that a call is sent there.
    pub fn call_started(&self, now: Instant) {
        if self.has_breaker() {
            self.inner.lock().breaker.begin_trial(now);
        }
    }

    /// The time until the gateway accepts calls again (`Retry-After`).
    pub fn retry_after(&self, now: Instant) -> Option<Duration> {
        match self.has_breaker() {
            false => None,
            true => self.inner.lock().breaker.retry_after(now),
        }
    }

    /// Records that the gateway accepted a call.
    pub fn call_accepted(&self) {
        self.observe(&mut self.inner.lock(), Observation::Works, Instant::now());
    }

    /// Records that a call to `target` was not accepted.
    pub fn call_refused(&self, refusal: &Refusal, target: Hop) {
        let now = Instant::now();
        let (observation, failure) = match refusal {
            Refusal::Abandoned => return,
            Refusal::TransportLost if had_trunk_shortage(SHORTAGE_MEMORY) => {
                return self.record_failure(OWN_SHORTAGE.to_owned());
            }
            Refusal::Silent => (Observation::SilentCall, "no answer to a call".to_owned()),
            Refusal::TransportLost => {
                (Observation::SilentCall, "a call could not be sent".to_owned())
            }
            Refusal::Rejected { code, retry_after_seconds } => {
                let observation = match (code, retry_after_seconds) {
                    (429 | 503, Some(seconds)) => Observation::Throttled(*seconds),
                    // 401 or 407 means that the gateway does not recognise us, or no longer does.
                    (401 | 407 | 408 | 500..=599, _) => Observation::Failed,
                    _ => Observation::Works,
                };
                (observation, format!("a call was answered {code}"))
            }
            Refusal::WeakChallenge(challenge) => {
                (Observation::Failed, format!("a call was {challenge}"))
            }
        };
        if observation == Observation::SilentCall {
            self.demote(target);
        }
        let mut inner = self.inner.lock();
        if observation != Observation::Works {
            inner.record_failure(failure);
        }
        if let Refusal::Rejected { code: 401 | 403 | 407, .. } = refusal {
            self.doubt_registration(&mut inner, now);
        }
        self.observe(&mut inner, observation, now);
    }

    /// A registrar that restarted between two probes has lost its registrations. A gateway that only refuses a
    /// number must not cause a registration for each call.
    fn doubt_registration(&self, inner: &mut Inner, now: Instant) {
        let is_due = inner
            .reregistered_at
            .is_none_or(|at| now.saturating_duration_since(at) >= REREGISTER_INTERVAL);
        if is_due && inner.registration(now) == RegistrationStatus::Registered {
            inner.reregistered_at = Some(now);
            self.register_now.notify_one();
        }
    }

    /// Records the result of a probe: the round-trip time, or `None` for no answer. `error`: why the connection
    /// failed, if it did.
    pub fn probe_finished(&self, round_trip: Option<Duration>, error: Option<&str>) {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        match round_trip {
            Some(round_trip) => {
                let micros = (round_trip.as_micros() as u64).max(1);
                inner.round_trip = Some(Duration::from_micros(micros));
                self.observe(&mut inner, Observation::ProbeAnswered, now);
            }
            None if had_trunk_shortage(SHORTAGE_MEMORY) => {
                inner.record_failure(with_error(OWN_SHORTAGE, error));
            }
            None => {
                inner.record_failure(with_error("no answer to a probe", error));
                self.observe(&mut inner, Observation::ProbeSilent, now);
            }
        }
    }

    /// Keeps the messages of the last probe.
    pub fn set_probe_ladder(&self, ladder: Vec<TracedMessage>) {
        self.inner.lock().probe_ladder = ladder;
    }

    /// The messages of the last probe.
    pub fn probe_ladder(&self) -> Vec<TracedMessage> {
        self.inner.lock().probe_ladder.clone()
    }

    /// Records the state of our registration. `error`: why the connection failed or the challenge was not answered,
    /// if that is why there is none.
    pub fn set_registration(&self, state: RegistrationState, error: Option<&str>) {
        let mut inner = self.inner.lock();
        if let RegistrationState::Failed { code } = state {
            let what = match code {
                Some(code) => format!("the registration was answered {code}"),
                None => "no answer to the registration".to_owned(),
            };
            inner.record_failure(with_error(&what, error));
        }
        inner.registration = Some(state);
        self.publish(&inner);
    }

    /// Records a failure that is not of a call, a probe or a registration.
    pub fn record_failure(&self, what: String) {
        self.inner.lock().record_failure(what);
    }

    /// Our registration with the gateway.
    pub fn registration(&self, now: Instant) -> RegistrationStatus {
        self.inner.lock().registration(now)
    }

    /// Whether operators and `/readyz` may count on the gateway.
    pub fn is_up(&self) -> bool {
        self.is_up_with(&self.inner.lock())
    }

    fn is_up_with(&self, inner: &Inner) -> bool {
        let is_open = self.has_breaker() && inner.breaker.is_open();
        let registration = inner.registration(Instant::now());
        let is_unregistered = matches!(registration, RegistrationStatus::Failed(_));
        !is_open && !is_unregistered && !self.targets.load().is_empty()
    }

    /// The round-trip time of the last answered probe.
    pub fn round_trip(&self) -> Option<Duration> {
        self.inner.lock().round_trip
    }

    pub fn last_failure(&self) -> Option<Failure> {
        self.inner.lock().last_failure.clone()
    }

    /// Updates the breaker.
    fn observe(&self, inner: &mut Inner, observation: Observation, now: Instant) {
        if !self.has_breaker() {
            return;
        }
        let was_open = inner.breaker.is_open();
        inner.breaker.observe(observation, self.is_probed(), now);
        let is_open = inner.breaker.is_open();
        if inner.breaker.is_suspect() && observation == Observation::SilentCall {
            self.probe_now.notify_one();
        }
        if was_open
            && !is_open
            && let Some(registration) = &mut inner.registration
        {
            // A gateway that was down may have restarted without our registration.
            *registration = RegistrationState::Registering;
            self.register_now.notify_one();
        }
        if was_open != is_open || observation == Observation::ProbeAnswered {
            self.publish(inner);
        }
    }

    /// Moves a target that did not answer behind the others.
    pub fn demote(&self, target: Hop) {
        let targets = self.targets.load();
        if targets.len() > 1 && targets[0] == target {
            let mut rotated = targets.as_ref().clone();
            rotated.rotate_left(1);
            self.targets.store(Arc::new(rotated));
        }
    }

    /// Updates the metrics.
    fn publish(&self, inner: &Inner) {
        if let Some(meters) = &inner.meters {
            let registration = inner.registration(Instant::now());
            let is_registered = registration == RegistrationStatus::Registered;
            meters.update(self.is_up_with(inner), is_registered, inner.round_trip);
        }
    }
}

fn with_error(what: &str, error: Option<&str>) -> String {
    match error {
        Some(error) => format!("{what}: {error}"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests;
