//! The tasks that monitor one gateway: DNS, probes, registration.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexo_domain::phone::carrier_plan::Carrier;
use nexo_voice::endpoint::{Endpoint, RequestKind, RequestOutcome};
use nexo_voice::net::locate::Located;
use nexo_voice::sip::message::gateway_uri::GatewayUri;
use nexo_voice::sip::user_agent::registration::{Registration, RegistrationState};
use rand::RngExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::trunk::gateway::Gateway;
use crate::trunk::monitor::peers::Peers;
use crate::trunk::monitor::requests::{Requests, connection_error, new_call_id, probe};

/// The longest delay before a gateway that did not answer is probed again.
const MAX_PROBE_RETRY_DELAY: Duration = Duration::from_secs(5);
/// How long a registrar may take to answer.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a registrar may take to answer when we unregister.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(2);
/// The delay before a name that did not resolve is looked up again.
const LOOKUP_RETRY_DELAY: Duration = Duration::from_secs(10);

/// Finds the addresses of gateways.
pub trait Locate: Send + Sync {
    /// # Errors
    /// Why the name does not resolve, in one readable sentence.
    fn locate(
        &self,
        uri: GatewayUri,
    ) -> Pin<Box<dyn Future<Output = Result<Located, String>> + Send>>;
}

/// What the tasks of all gateways share.
#[derive(Clone)]
pub(super) struct Context {
    pub endpoint: Endpoint,
    pub peers: Arc<Peers>,
    pub locator: Arc<dyn Locate>,
}

/// The gateway of a task, and the signal that ends the task.
#[derive(Clone)]
pub(super) struct GatewayTask {
    pub context: Context,
    pub carrier: Carrier,
    pub gateway: Gateway,
    pub stop: watch::Receiver<bool>,
}

impl GatewayTask {
    /// Starts the tasks that the gateway needs.
    pub fn start_all(self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if self.gateway.uri.ip().is_none() {
            tasks.spawn(self.clone().follow_dns());
        }
        if let Some(interval) = self.gateway.probe_interval {
            tasks.spawn(self.clone().probe(interval));
        }
        if let Some(seconds) = self.gateway.register_seconds {
            tasks.spawn(self.register(seconds));
        }
        tasks
    }

    /// Looks the gateway's name up again whenever the last result expires.
    async fn follow_dns(mut self) {
        // The expiry of the first result, which was found at the start, is not known here.
        let mut delay = LOOKUP_RETRY_DELAY;
        loop {
            tokio::select! {
                _ = tokio::time::sleep(delay) => {}
                _ = self.stop.wait_for(|stop| *stop) => return,
            }
            let (carrier, gateway) = (self.carrier, &self.gateway);
            delay = match self.context.locator.locate(gateway.uri.clone()).await {
                Ok(located) => {
                    if gateway.state.set_targets(located.targets) {
                        tracing::info!(%carrier, gateway = gateway.name, "the addresses of the gateway changed");
                        self.context.peers.update_endpoint();
                    }
                    located.ttl
                }
                // The old addresses stay in use: a failing name server must not take a gateway down.
                Err(error) => {
                    gateway.state.record_failure(error);
                    LOOKUP_RETRY_DELAY
                }
            };
        }
    }

    /// Probes the gateway at intervals, and at once when silent calls make it doubtful that it is up.
    async fn probe(mut self, interval: Duration) {
        let (carrier, gateway) = (self.carrier, &self.gateway);
        let endpoint = &self.context.endpoint;
        let mut delay = with_jitter(interval);
        let mut cseq = 1;
        loop {
            tokio::select! {
                _ = tokio::time::sleep(delay) => {}
                _ = gateway.state.probe_now.notified() => {}
                _ = self.stop.wait_for(|stop| *stop) => return,
            }
            let was_up = gateway.state.is_up();
            let round_trip = probe(endpoint, gateway, &mut cseq).await;
            let error = connection_error(endpoint, gateway);
            gateway.state.probe_finished(round_trip, error.as_deref());
            match (was_up, gateway.state.is_up()) {
                (true, false) => {
                    tracing::warn!(%carrier, gateway = gateway.name, "the gateway does not answer");
                }
                (false, true) => {
                    tracing::info!(%carrier, gateway = gateway.name, "the gateway is up again");
                }
                (true, true) | (false, false) => {}
            }
            delay = match round_trip {
                Some(_) => with_jitter(interval),
                None => MAX_PROBE_RETRY_DELAY.min(interval),
            };
        }
    }

    /// Keeps us registered. Unregisters when it is stopped.
    async fn register(mut self, seconds: u32) {
        let (carrier, gateway) = (self.carrier, &self.gateway);
        let endpoint = &self.context.endpoint;
        let mut registration = Registration::new(seconds, Instant::now());
        let user = gateway.credentials.as_ref();
        let user = user.map_or("nexo", |credentials| credentials.username.as_ref());
        let register =
            |expires_seconds| RequestKind::Register { user: user.to_owned(), expires_seconds };
        let mut requests = Requests { endpoint, gateway, call_id: new_call_id(), cseq: &mut 1 };
        loop {
            let delay = registration.next_attempt_at().saturating_duration_since(Instant::now());
            tokio::select! {
                _ = tokio::time::sleep(delay) => {}
                _ = gateway.state.register_now.notified() => {}
                _ = self.stop.wait_for(|stop| *stop) => break,
            }
            let before = registration.state(Instant::now());
            let request = register(registration.expires_seconds());
            let answer = requests.send(request, REGISTER_TIMEOUT, None).await;
            let now = Instant::now();
            registration.handle_outcome(&answer, now, rand::rng().random());
            let after = registration.state(now);
            let error = match &answer {
                RequestOutcome::Answered { weak_challenge, .. } => {
                    weak_challenge.map(|challenge| challenge.to_string().into())
                }
                RequestOutcome::TimedOut { .. } | RequestOutcome::TransportFailed { .. } => {
                    connection_error(endpoint, gateway)
                }
            };
            gateway.state.set_registration(after, error.as_deref());
            log_registration(carrier, &gateway.name, before, after, error.as_deref());
        }
        if let RegistrationState::Registered { .. } = registration.state(Instant::now()) {
            let request = register(0);
            requests.send(request, UNREGISTER_TIMEOUT, None).await;
        }
    }
}

fn log_registration(
    carrier: Carrier,
    gateway: &str,
    before: RegistrationState,
    after: RegistrationState,
    error: Option<&str>,
) {
    match (before, after) {
        (RegistrationState::Registered { .. }, RegistrationState::Registered { .. }) => {}
        (_, RegistrationState::Registered { .. }) => {
            tracing::info!(%carrier, gateway, "registered");
        }
        (RegistrationState::Failed { code: before }, RegistrationState::Failed { code })
            if before == code => {}
        (_, RegistrationState::Failed { code }) => {
            tracing::warn!(%carrier, gateway, code, error, "the registration failed");
        }
        (_, RegistrationState::Registering) => {}
    }
}

/// Up to a tenth less than `interval`, so that many gateways are not probed at the same time.
fn with_jitter(interval: Duration) -> Duration {
    interval.mul_f64(rand::rng().random_range(0.9..=1.0))
}
