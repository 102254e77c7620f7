//! What goes on between us and a gateway beside calls: where it is by DNS, whether it is there, and our
//! registration. One task a gateway and kind; all of them only write a [`GatewayState`].

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nexo_domain::phone::carrier_plan::Carrier;
use nexo_voice::endpoint::{Ask, Endpoint, Question, SipAnswer, Trace};
use nexo_voice::net::locate::Located;
use nexo_voice::net::streams::tls::TlsProfile;
use nexo_voice::sip::message::gateway_uri::GatewayUri;
use nexo_voice::sip::message::hop::Hop;
use nexo_voice::sip::user_agent::registration::{Registration, RegistrationState};
use rand::RngExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::trunk::carrier::Trunk;
use crate::trunk::gateway::Gateway;
use crate::trunk::gateway_state::GatewayState;

/// How long an answer to a probe may take.
const PROBE_WITHIN: Duration = Duration::from_secs(2);
/// Where nobody answers at so many places of a gateway, it is taken to be down.
const MOST_PLACES_ASKED: usize = 4;
/// How soon a gateway that did not answer is probed again.
const PROBE_AGAIN: Duration = Duration::from_secs(5);
const REGISTER_WITHIN: Duration = Duration::from_secs(8);
/// How long a registrar may take to hear that we go.
const FAREWELL_WITHIN: Duration = Duration::from_secs(2);
/// How soon a name that does not resolve is asked for again.
const LOCATE_AGAIN: Duration = Duration::from_secs(10);

/// Finds gateways by their URIs.
pub trait Locate: Send + Sync {
    /// # Errors
    /// Why the name does not lead anywhere, in one readable sentence.
    fn locate(
        &self,
        uri: GatewayUri,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Located, String>> + Send>>;
}

/// How long a gateway that is no longer configured may still speak to us: its calls are finished.
const LEAVES_WITHIN: Duration = Duration::from_secs(120);

/// The running watch.
pub struct TrunkWatch {
    post: Post,
    watched: Vec<Watched>,
    /// The tasks of gateways that are no longer configured.
    leaving: JoinSet<()>,
    /// Ends the peers' last respite.
    farewells: JoinSet<()>,
}

/// One gateway and the tasks that watch it.
struct Watched {
    state: Arc<GatewayState>,
    closing: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Whom we speak to.
#[derive(Default)]
struct Peers {
    trunks: Vec<Trunk>,
    /// No longer configured, and since when.
    departed: Vec<(Instant, Gateway)>,
}

impl Peers {
    fn gateways(&self) -> impl Iterator<Item = &Gateway> {
        let trunks = self.trunks.iter();
        let configured = trunks.flat_map(|t| t.gateways.iter().chain(&t.test_gateways));
        configured.chain(self.departed.iter().map(|(_, gateway)| gateway))
    }
}

/// What all tasks share.
#[derive(Clone)]
struct Post {
    endpoint: Endpoint,
    peers: Arc<Mutex<Peers>>,
    locator: Arc<dyn Locate>,
    closing: watch::Receiver<bool>,
}

impl TrunkWatch {
    /// Starts to watch every gateway of `trunks`, and tells the endpoint who its peers are.
    pub fn start(endpoint: &Endpoint, trunks: Vec<Trunk>, locator: Arc<dyn Locate>) -> TrunkWatch {
        let mut watch = TrunkWatch {
            post: Post {
                endpoint: endpoint.clone(),
                peers: Arc::default(),
                locator,
                closing: watch::channel(false).1,
            },
            watched: Vec::new(),
            leaving: JoinSet::new(),
            farewells: JoinSet::new(),
        };
        watch.replace(trunks);
        watch
    }

    /// Watches these from here on. A gateway whose state is among theirs is watched on as before; of others we
    /// take leave, which ends our registration with them, but no call.
    pub fn replace(&mut self, trunks: Vec<Trunk>) {
        let gateways = trunks.iter().flat_map(|trunk| &trunk.gateways);
        let kept: Vec<&Arc<GatewayState>> = gateways.map(|gateway| &gateway.state).collect();
        let is_kept = |state: &Arc<GatewayState>| kept.iter().any(|one| Arc::ptr_eq(one, state));
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.watched)
            .into_iter()
            .partition(|watched| is_kept(&watched.state));
        self.watched = stay;
        let now = Instant::now();
        {
            let mut peers = self.post.locked_peers();
            let before = std::mem::replace(&mut peers.trunks, trunks.clone());
            let gateways = before.into_iter().flat_map(|trunk| trunk.gateways);
            let gone = gateways.filter(|gateway| !is_kept(&gateway.state));
            peers.departed.extend(gone.map(|gateway| (now, gateway)));
        }
        self.post.tell_peers();
        if !go.is_empty() {
            let post = self.post.clone();
            self.farewells.spawn(async move {
                tokio::time::sleep(LEAVES_WITHIN).await;
                post.tell_peers();
            });
        }
        for watched in go {
            watched.leave(&mut self.leaving);
        }
        for trunk in &trunks {
            for gateway in &trunk.gateways {
                self.watch(trunk.carrier, gateway);
            }
        }
        while self.leaving.try_join_next().is_some() {}
        while self.farewells.try_join_next().is_some() {}
    }

    /// Starts the gateway's tasks, unless it is watched.
    fn watch(&mut self, carrier: Carrier, gateway: &Gateway) {
        gateway.state.meter(carrier.name(), &gateway.name);
        let is_watched = |watched: &Watched| Arc::ptr_eq(&watched.state, &gateway.state);
        if self.watched.iter().any(is_watched) {
            return;
        }
        let (closing, closed) = watch::channel(false);
        let post = Post {
            closing: closed,
            ..self.post.clone()
        };
        let mut tasks = JoinSet::new();
        if gateway.uri.ip().is_none() {
            tasks.spawn(post.clone().follow(carrier, gateway.clone()));
        }
        if let Some(every) = gateway.probe_every {
            tasks.spawn(post.clone().probe(carrier, gateway.clone(), every));
        }
        if let Some(seconds) = gateway.register_seconds {
            tasks.spawn(post.register(carrier, gateway.clone(), seconds));
        }
        self.watched.push(Watched {
            state: Arc::clone(&gateway.state),
            closing,
            tasks,
        });
    }

    /// Ends all registrations and the watch.
    pub async fn stop(mut self) {
        self.farewells.shutdown().await;
        for watched in std::mem::take(&mut self.watched) {
            watched.leave(&mut self.leaving);
        }
        while self.leaving.join_next().await.is_some() {}
    }
}

impl Watched {
    /// Ends the gateway's tasks, which `leaving` waits for.
    fn leave(mut self, leaving: &mut JoinSet<()>) {
        self.closing.send_replace(true);
        self.state.unmeter();
        leaving.spawn(async move { while self.tasks.join_next().await.is_some() {} });
    }
}

impl Post {
    fn locked_peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is resolved now may speak to us, and for a while what is no longer configured.
    fn tell_peers(&self) {
        let mut peers = self.locked_peers();
        peers
            .departed
            .retain(|(since, _)| since.elapsed() < LEAVES_WITHIN);
        let hops: HashSet<Hop> = peers
            .gateways()
            .flat_map(|gateway| gateway.state.targets().as_ref().clone())
            .collect();
        self.endpoint.set_peers(hops);
        // Where two are at one address, the one that is configured.
        let departed = peers.departed.iter().map(|(_, gateway)| gateway);
        let mut profiles = profiles_of(departed);
        profiles.extend(tls_profiles(&peers.trunks));
        self.endpoint.set_tls(profiles);
    }

    /// Waits, unless the watch ends meanwhile: whether to go on.
    async fn goes_on_after(&mut self, wait: Duration) -> bool {
        tokio::select! {
            _ = tokio::time::sleep(wait) => true,
            _ = self.closing.wait_for(|closing| *closing) => false,
        }
    }

    /// Keeps up with DNS.
    async fn follow(mut self, carrier: Carrier, gateway: Gateway) {
        // What was found at the start is asked for again soon: its own time is not known here.
        let mut wait = LOCATE_AGAIN;
        while self.goes_on_after(wait).await {
            wait = match self.locator.locate(gateway.uri.clone()).await {
                Ok(located) => {
                    if gateway.state.moved(located.targets) {
                        tracing::info!(%carrier, gateway = gateway.name, "the gateway has moved");
                        self.tell_peers();
                    }
                    located.fresh_for
                }
                // The older addresses stay: a name server that is down takes no gateway with it.
                Err(error) => {
                    gateway.state.failed(error);
                    LOCATE_AGAIN
                }
            };
        }
    }

    /// Asks again and again whether the gateway is there, and at once when silence makes that doubtful.
    async fn probe(mut self, carrier: Carrier, gateway: Gateway, every: Duration) {
        let state = Arc::clone(&gateway.state);
        let mut wait = spread(every);
        let mut cseq = 1;
        loop {
            tokio::select! {
                _ = tokio::time::sleep(wait) => {}
                _ = state.doubt.notified() => {}
                _ = self.closing.wait_for(|closing| *closing) => return,
            }
            let was_up = state.is_up();
            let round_trip = probe(&self.endpoint, &gateway, &mut cseq).await;
            state.probed(round_trip, trouble(&self.endpoint, &gateway).as_deref());
            match (was_up, state.is_up()) {
                (true, false) => {
                    tracing::warn!(%carrier, gateway = gateway.name, "the gateway does not answer");
                }
                (false, true) => {
                    tracing::info!(%carrier, gateway = gateway.name, "the gateway is back");
                }
                (true, true) | (false, false) => {}
            }
            wait = match round_trip {
                Some(_) => spread(every),
                None => PROBE_AGAIN.min(every),
            };
        }
    }

    /// Keeps us registered, and ends that with the watch.
    async fn register(mut self, carrier: Carrier, gateway: Gateway, seconds: u32) {
        let mut registration = Registration::new(seconds, Instant::now());
        let call_id = format!("{}@nexo", Uuid::new_v4());
        let mut cseq = 1;
        loop {
            let wait = registration
                .ask_at()
                .saturating_duration_since(Instant::now());
            tokio::select! {
                _ = tokio::time::sleep(wait) => {}
                _ = gateway.state.returned.notified() => {}
                _ = self.closing.wait_for(|closing| *closing) => break,
            }
            let was = registration.state(Instant::now());
            let ask = registration.expires_seconds();
            let answer = self.ask_registrar(&gateway, &call_id, &mut cseq, ask, REGISTER_WITHIN);
            let answer = answer.await;
            let now = Instant::now();
            registration.answered(&answer, now, rand::rng().random());
            let is = registration.state(now);
            let why = trouble(&self.endpoint, &gateway);
            gateway.state.registration(is, why.as_deref());
            tell_registration(carrier, &gateway, was, is);
        }
        if let RegistrationState::Registered { .. } = registration.state(Instant::now()) {
            self.ask_registrar(&gateway, &call_id, &mut cseq, 0, FAREWELL_WITHIN)
                .await;
        }
    }

    async fn ask_registrar(
        &self,
        gateway: &Gateway,
        call_id: &str,
        cseq: &mut u32,
        expires_seconds: u32,
        within: Duration,
    ) -> SipAnswer {
        let user = gateway.credentials.as_ref();
        let user = user.map_or("nexo", |credentials| credentials.username.as_ref());
        let ask = Ask::Register {
            user: user.to_owned(),
            expires_seconds,
        };
        ask_gateway(
            &self.endpoint,
            gateway,
            ask,
            call_id.to_owned(),
            cseq,
            within,
            None,
        )
        .await
    }
}

fn tell_registration(
    carrier: Carrier,
    gateway: &Gateway,
    was: RegistrationState,
    is: RegistrationState,
) {
    let name = &gateway.name;
    match (was, is) {
        (RegistrationState::Registered { .. }, RegistrationState::Registered { .. }) => {}
        (_, RegistrationState::Registered { .. }) => {
            tracing::info!(%carrier, gateway = name, "registered");
        }
        (RegistrationState::Failed { code: before }, RegistrationState::Failed { code })
            if before == code => {}
        (_, RegistrationState::Failed { code }) => {
            tracing::warn!(%carrier, gateway = name, code, "the registration failed");
        }
        (_, RegistrationState::Asking) => {}
    }
}

/// How TLS is spoken to each address of the trunks' gateways.
pub fn tls_profiles(trunks: &[Trunk]) -> HashMap<SocketAddr, Arc<TlsProfile>> {
    profiles_of(trunks.iter().flat_map(|trunk| &trunk.gateways))
}

fn profiles_of<'g>(
    gateways: impl Iterator<Item = &'g Gateway>,
) -> HashMap<SocketAddr, Arc<TlsProfile>> {
    let with_tls = gateways.filter_map(|gateway| Some((gateway, gateway.tls.as_ref()?)));
    with_tls
        .flat_map(|(gateway, profile)| {
            let targets = gateway.state.targets().as_ref().clone();
            let targets = targets.into_iter();
            targets.map(|target| (target.canonical().address, Arc::clone(profile)))
        })
        .collect()
}

/// Asks once whether a gateway is there; how long the answer took. The messages are kept in its state.
pub async fn probe(endpoint: &Endpoint, gateway: &Gateway, cseq: &mut u32) -> Option<Duration> {
    let call_id = format!("{}@nexo", Uuid::new_v4());
    let (trace, mut messages) = mpsc::unbounded_channel();
    let (ask, trace) = (Ask::Options, Some(trace));
    let answer = ask_gateway(endpoint, gateway, ask, call_id, cseq, PROBE_WITHIN, trace).await;
    let ladder = std::iter::from_fn(|| messages.try_recv().ok());
    gateway.state.probe_passed(ladder.collect());
    match answer {
        // A gateway that is there but cannot work says so. All else proves that it is: many refuse
        // OPTIONS from those whom they know only as callers.
        SipAnswer::Answered {
            code: 408 | 503, ..
        } => None,
        SipAnswer::Answered { round_trip, .. } => Some(round_trip),
        SipAnswer::Silent { .. } | SipAnswer::TransportFailed { .. } => None,
    }
}

/// Why the connection to the place that is asked failed, where it did.
pub fn trouble(endpoint: &Endpoint, gateway: &Gateway) -> Option<Arc<str>> {
    let target = gateway.state.targets().first().copied()?;
    endpoint.trouble(target)
}

/// Asks a gateway at the first of its places, and where nobody answers there at the next ones (RFC 3263
/// §4.3). A place that does not answer goes behind the others, for calls too.
async fn ask_gateway(
    endpoint: &Endpoint,
    gateway: &Gateway,
    ask: Ask,
    call_id: String,
    cseq: &mut u32,
    timeout: Duration,
    trace: Option<Trace>,
) -> SipAnswer {
    let mut answer = SipAnswer::TransportFailed { cseq: *cseq };
    for target in gateway.state.targets().iter().take(MOST_PLACES_ASKED) {
        let question = Question {
            ask: ask.clone(),
            gateway: *target,
            gateway_host: gateway.uri.host_and_port(),
            gateway_domain: gateway.uri.domain(),
            credentials: gateway.credentials.clone(),
            call_id: call_id.clone(),
            cseq: *cseq,
            timeout,
            trace: trace.clone(),
        };
        answer = endpoint.ask(question).await;
        let (SipAnswer::Answered { cseq: last, .. }
        | SipAnswer::Silent { cseq: last }
        | SipAnswer::TransportFailed { cseq: last }) = &answer;
        *cseq = last + 1;
        if let SipAnswer::Answered { .. } = answer {
            return answer;
        }
        gateway.state.demote(*target);
    }
    answer
}

/// Within a tenth of `every`, so that many gateways are not probed together.
fn spread(every: Duration) -> Duration {
    every.mul_f64(rand::rng().random_range(0.9..=1.0))
}
