//! One gateway, put together from its configuration.
//!
//! The order matters: ports first (a second gateway on the same ports must touch nothing), then the
//! database and what the last life left in it, then the voice, the actors, and HTTP last.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::{App as WebApp, HttpServer, web};
use anyhow::Context;
use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use nexo_actors::clock::unix_ms;
use nexo_actors::dispatch::live_deliveries::Live;
use nexo_actors::dispatch::{DispatchDesk, DispatchSettings};
use nexo_actors::engine::{Engine, EngineParts};
use nexo_actors::jobs::reviews::ReviewSettings;
use nexo_actors::jobs::schedule::Chores;
use nexo_actors::node::changes::Freshness;
use nexo_actors::node::lease::LeaseHolder;
use nexo_actors::recovery::reaper;
use nexo_actors::trunk::carrier::Line;
use nexo_actors::trunk::monitor::{Locate, TrunkWatch};
use nexo_actors::webhook::Desk;
use nexo_actors::webhook::client::{TargetRules, WebhookClient};
use nexo_domain::call::CallLimits;
use nexo_entities::store::cluster::changes::Change;
use nexo_entities::store::{Store, StoreError};
use nexo_voice::endpoint::{Endpoint, EndpointConfig};
use nexo_voice::net::locate::Families;
use nexo_voice::sandbox::{Sandbox, SandboxConfig};
use nexo_voice::sip::user_agent::transaction::Timers;
use tokio::sync::Mutex;

use crate::api::auth::keyring::{KeyRing, note_uses};
use crate::api::health::Health;
use crate::api::otp::routing::Routing;
use crate::api::resources::bank_notifications::BankDesk;
use crate::api::{self, Edge};
use crate::app::reload::{ReloadMeters, Reloader};
use crate::config::Config;
use crate::config::calls::LONGEST_CALL;
use crate::dashboard::mail::low_balance::LowBalanceLetters;
use crate::dashboard::{self, Site, SiteParts};
use crate::database::Serving;
use crate::telemetry::{self, Sampled};
use crate::terms::Terms;
use crate::trunks;

pub mod reload;
pub mod systemd;

/// From a call's acceptance to its end in the ledger, as customers are promised.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
/// At shutdown calls in progress are waited for no longer than this.
pub(crate) const DRAIN_WITHIN: Duration = Duration::from_secs(90);
/// What is hung up then is settled within this.
pub(crate) const SETTLE_WITHIN: Duration = Duration::from_secs(5);
/// Webhooks that wait when the last call has ended are sent within this, or by the next start: an endpoint has
/// 5 s for its answer.
const FLUSH_WITHIN: Duration = Duration::from_secs(15);
/// How long a customer's connection is kept that asks nothing: longer than the pools of common HTTP clients keep
/// theirs (5 s in httpx), lest it is closed just as a request is sent on it.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections to PostgreSQL that write at once: one for each wallet actor, and some for the rest.
const POSTGRES_LANES: u32 = 8;
const WALLET_LANES_POSTGRES: usize = 4;
const USER_AGENT: &str = concat!("NEXO-ROUTE/", env!("CARGO_PKG_VERSION"));

/// The ports of a gateway, bound before anything else is touched.
pub struct Ports {
    http: TcpListener,
    metrics: TcpListener,
}

impl Ports {
    /// Binds the HTTP and the metrics port.
    ///
    /// # Errors
    /// Names the address that is taken, and the setting that moves it.
    pub fn bind(config: &Config) -> anyhow::Result<Ports> {
        Ok(Ports {
            http: listen(config.server.listen, "server.listen")?,
            metrics: listen(config.metrics.listen, "metrics.listen")?,
        })
    }
}

fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {address} is in use: stop what listens there, or set {key} to another"
        ),
        std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("port {address} needs more rights: set {key} to one above 1023")
        }
        _ => anyhow::anyhow!(
            "cannot listen on {address} ({error}): set {key} to an address of this machine"
        ),
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Opens the configured database and brings its schema up to date.
///
/// # Errors
/// The store's own, each with its mend.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let store = crate::database::connect(&config.database, POSTGRES_LANES).await?;
    nexo_migration::up(store.connection())
        .await
        .context("the database schema could not be brought up to date")?;
    Ok(store)
}

/// A running gateway.
pub struct App {
    pub http: SocketAddr,
    pub metrics: SocketAddr,
    pub engine: Engine,
    pub store: Store,
    /// The built-in carrier, where it is enabled.
    pub sandbox: Option<Sandbox>,
    /// Takes over another configuration.
    pub reloader: Arc<Reloader>,
    endpoint: Endpoint,
    chores: Chores,
    keys: Arc<KeyRing>,
    drain_at_least: Duration,
    draining: Arc<AtomicBool>,
    servers: Vec<ServerHandle>,
    holder: LeaseHolder,
    _serving: Serving,
}

/// Puts something between the actors and the endpoint: the demo listens there.
pub type WrapLine = Box<dyn FnOnce(Arc<dyn Line>) -> Arc<dyn Line>>;

impl App {
    /// Starts everything. `recorder` is the process's metrics.
    ///
    /// # Errors
    /// What keeps the gateway from working, in one line with its mend.
    pub async fn start(
        config: &Config,
        ports: Ports,
        store: Store,
        recorder: PrometheusHandle,
        wrap_line: Option<WrapLine>,
    ) -> anyhow::Result<App> {
        let prompts = crate::voice::prompts(config)?;
        let serving = crate::database::serve_alone(&config.database)?;
        let live = Arc::new(Live::default());
        let holder = begin_life(config, &store, Arc::clone(&live)).await?;
        let sandbox = start_sandbox(config).await?;
        let sandbox_address = sandbox.as_ref().map(Sandbox::local_addr);
        let locator: Arc<dyn Locate> = Arc::new(trunks::DnsLocator::of(config)?);
        let trunks = trunks::from_config(config, sandbox_address, locator.as_ref()).await?;
        let endpoint = Endpoint::start(endpoint_config(config), prompts).await?;
        let watch = TrunkWatch::start(&endpoint, trunks.clone(), Arc::clone(&locator));
        let mut line: Arc<dyn Line> = Arc::new(endpoint.clone());
        if let Some(wrap) = wrap_line {
            line = wrap(line);
        }
        let freshness = Arc::new(Freshness::default());
        let keys = Arc::new(KeyRing::new(Arc::clone(&freshness)));
        let (ring, whole_ring) = (Arc::clone(&keys), Arc::clone(&keys));
        let keys_to_note = Arc::clone(&keys);
        let routing = Arc::new(Routing::load(&store).await?);
        let (its_routing, its_store) = (Arc::clone(&routing), store.clone());
        let (all_routing, all_store) = (Arc::clone(&routing), store.clone());
        trunks::apply_drains(&trunks, &store).await;
        let desk = Arc::new(OnceLock::<Arc<DispatchDesk>>::new());
        let (desk_to_drain, drain_store) = (Arc::clone(&desk), store.clone());
        let engine = Engine::start(EngineParts {
            wallet_lanes: if store.is_sqlite() {
                1
            } else {
                WALLET_LANES_POSTGRES
            },
            mask_phones_after_days: config.privacy.mask_phones_after_days,
            store: store.clone(),
            lease: Arc::clone(&holder.lease),
            live,
            trunks,
            line,
            settings: dispatch_settings(config),
            webhooks: webhook_client(config)?,
            escalate: Box::new(give_up),
            on_change: Box::new(move |change| match change {
                Change::Account(account) => ring.forget_account(*account),
                Change::Key(key) => ring.forget_key(*key),
                Change::Ports(_) => {
                    let reload = reload_ports(Arc::clone(&its_routing), its_store.clone());
                    actix_web::rt::spawn(reload);
                }
                Change::Gateways(_) => {
                    if let Some(desk) = desk_to_drain.get() {
                        let trunks: Vec<_> = desk.carriers.iter().map(|r| r.trunk.now()).collect();
                        let store = drain_store.clone();
                        actix_web::rt::spawn(async move {
                            trunks::apply_drains(trunks.iter().map(Arc::as_ref), &store).await;
                        });
                    }
                }
                Change::Wallet(_) | Change::Endpoints(_) | Change::WebhookAttempt(_) => {}
            }),
            forget_all: Box::new(move || {
                whole_ring.forget_all();
                let reload = reload_ports(Arc::clone(&all_routing), all_store.clone());
                actix_web::rt::spawn(reload);
            }),
            freshness,
        })
        .await?;
        let _ = desk.set(Arc::clone(&engine.desk));
        let draining = Arc::new(AtomicBool::new(false));
        let terms = Terms::of(config);
        let watched = endpoint.clone();
        let edge = web::Data::new(Edge {
            store: store.clone(),
            keys,
            routing,
            desk: Arc::clone(&engine.desk),
            health: Health {
                migrations: nexo_migration::names(),
                webhooks: engine.webhooks.clone(),
                line_is_up: Arc::new(move || watched.is_alive()),
            },
            trusted_proxies: config.server.trusted_proxies.clone(),
            deposit_url: format!(
                "{}/dashboard/wallet/top-up",
                config.server.public_url.trim_end_matches('/')
            ),
            terms: Arc::clone(&terms),
            draining: Arc::clone(&draining),
            internal_errors: metrics::counter!("nexo_internal_errors_total"),
            replays: metrics::counter!("nexo_idempotent_replays_total"),
        });
        let bank = web::Data::new(BankDesk::new(&config.deposits, store.clone()));
        let site = web::Data::new(Site::new(
            config,
            SiteParts {
                store: store.clone(),
                terms: Arc::clone(&terms),
                routing: Arc::clone(&edge.routing),
                webhooks: engine.webhooks.clone(),
                live: Arc::clone(&engine.live),
                desk: Arc::clone(&engine.desk),
            },
        )?);
        let site_to_tidy = Arc::clone(&site);
        let site_of_letters = Arc::clone(&site);
        let reloader = Arc::new(Reloader {
            desk: Arc::clone(&engine.desk),
            terms: Arc::clone(&terms),
            watch: Mutex::new(Some(watch)),
            locator,
            sandbox: sandbox_address,
            store: store.clone(),
            config: ArcSwap::from_pointee(config.clone()),
            meters: ReloadMeters::new(),
        });
        let http = ports.http.local_addr()?;
        let ready = edge.clone();
        let metrics = ports.metrics.local_addr()?;
        let api = HttpServer::new(move || {
            WebApp::new()
                .app_data(edge.clone())
                .app_data(bank.clone())
                .app_data(site.clone())
                .wrap(api::middleware())
                .configure(dashboard::routes)
                .configure(api::routes)
        })
        .disable_signals()
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(5)
        .listen(ports.http)?
        .run();
        let page = telemetry::serve_metrics(ports.metrics, recorder, Arc::clone(&engine.desk))?;
        telemetry::sample(Sampled {
            store: store.clone(),
            desk: Arc::clone(&engine.desk),
            endpoint: endpoint.clone(),
            draining: Arc::clone(&draining),
            terms,
        });
        actix_web::rt::spawn(api::health::show_readiness(ready));
        let mut chores = Chores::start(
            &store,
            review_settings(config),
            Arc::new(LowBalanceLetters::of(site_of_letters)),
        );
        chores.also(note_uses(Arc::clone(&keys_to_note), store.clone()));
        let servers = vec![api.handle(), page.handle()];
        actix_web::rt::spawn(dashboard::tidy(site_to_tidy));
        actix_web::rt::spawn(api);
        actix_web::rt::spawn(page);
        Ok(App {
            http,
            metrics,
            engine,
            store,
            sandbox,
            reloader,
            endpoint,
            chores,
            keys: keys_to_note,
            drain_at_least: Duration::from_millis(config.server.drain_at_least_ms),
            draining,
            servers,
            holder,
            _serving: serving,
        })
    }

    /// Whether what must not stand still does not: for a service manager that would start us anew.
    pub fn is_alive(&self) -> impl Fn() -> bool + 'static {
        let endpoint = self.endpoint.clone();
        move || endpoint.is_alive()
    }

    /// Takes no more OTPs, waits for the calls in progress and their webhooks, and closes everything in order.
    ///
    /// A call lasts for a minute at most; what is not settled after [`DRAIN_WITHIN`] all the same is settled as
    /// lost, for which there is [`SETTLE_WITHIN`]. Webhooks that cannot be sent by then wait for the next start,
    /// or for another node.
    pub async fn shutdown(self) {
        let begun = Instant::now();
        self.draining.store(true, Ordering::Relaxed);
        let mut look = tokio::time::interval(Duration::from_millis(50));
        while begun.elapsed() < DRAIN_WITHIN {
            look.tick().await;
            if self.engine.live.is_empty() && begun.elapsed() >= self.drain_at_least {
                break;
            }
        }
        // Whoever is still up is hung up, and settled as far as it came.
        if let Some(watch) = self.reloader.watch.lock().await.take() {
            watch.stop().await;
        }
        self.endpoint.shutdown(Duration::from_secs(2)).await;
        let give_up = Instant::now() + SETTLE_WITHIN;
        while Instant::now() < give_up && !self.engine.live.is_empty() {
            look.tick().await;
        }
        let give_up = begun + DRAIN_WITHIN + SETTLE_WITHIN;
        flush_webhooks(&self.store, &self.engine.posts, give_up).await;
        for server in self.servers {
            server.stop(true).await;
        }
        self.chores.stop().await;
        self.keys.write_uses(&self.store).await;
        self.engine.stop().await;
        self.holder.stop().await;
        if let Some(sandbox) = self.sandbox {
            sandbox.shutdown().await;
        }
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the database was not closed in order");
        }
    }
}

/// Waits until what our calls came to has been told, and until it is written what became of that. Not for
/// what waits for an endpoint that takes nothing: it is told by the next start.
async fn flush_webhooks(store: &Store, posts: &Desk, give_up: Instant) {
    let give_up = give_up.min(Instant::now() + FLUSH_WITHIN);
    // What is younger is another node's.
    let begun_ms = unix_ms();
    let mut look = tokio::time::interval(Duration::from_millis(50));
    while Instant::now() < give_up {
        look.tick().await;
        let waiting = store.oldest_waiting_webhook_ms().await;
        let is_told = match waiting {
            Ok(oldest_ms) => oldest_ms.is_none_or(|oldest| oldest > begun_ms),
            Err(_) => store.stopped().is_some(),
        };
        if is_told && posts.is_idle() {
            return;
        }
    }
    tracing::warn!("webhooks that could not be sent wait for the next start");
}

/// Takes over replaced ported numbers. A set that is replaced again while it is read is told of anew.
async fn reload_ports(routing: Arc<Routing>, store: Store) {
    if let Err(error) = routing.reload(&store).await {
        tracing::warn!(%error, "the ported numbers could not be read: the older ones stay");
    }
}

/// Begins a life of this node, whose lease is held from here on, and settles what its last life left
/// behind.
async fn begin_life(
    config: &Config,
    store: &Store,
    live: Arc<Live>,
) -> anyhow::Result<LeaseHolder> {
    let name = config.cluster.node_name();
    // A call that is dialled as the lease ends may be accepted so much later.
    let dispatch = Duration::from_millis(config.calls.dispatch_timeout_ms);
    let holder = LeaseHolder::start(store, name, dispatch + ENDED_WITHIN, live)
        .await
        .map_err(|error| match error {
            StoreError::NodeRuns { name, .. } => anyhow::anyhow!(
                "node {name} runs already on this database: stop it, or give this one a name of its own in [cluster] node"
            ),
            error => error.into(),
        })?;
    let node = holder.lease.node();
    let settled = reaper::recover(store, &node, config.billing.refund).await?;
    tracing::info!(node = name, epoch = node.epoch, settled, "recovered");
    Ok(holder)
}

/// Starts the built-in carrier on a free port, where it is enabled.
///
/// # Errors
/// When it cannot listen.
pub async fn start_sandbox(config: &Config) -> anyhow::Result<Option<Sandbox>> {
    if !config.sandbox.enabled {
        return Ok(None);
    }
    let record_dir = &config.sandbox.record_dir;
    let loopback = match Families::of(config.sip.listen_udp.ip()) {
        Families::V4 | Families::Both => IpAddr::from(Ipv4Addr::LOCALHOST),
        Families::V6 => Ipv6Addr::LOCALHOST.into(),
    };
    let sandbox = Sandbox::start(SandboxConfig {
        record_dir: (!record_dir.is_empty()).then(|| record_dir.into()),
        loss_percent: config.sandbox.loss_percent,
        jitter_ms: config.sandbox.jitter_ms,
        voice: crate::voice::recorded(config)?,
        seed: rand::random(),
        ..SandboxConfig::on(SocketAddr::new(loopback, 0))
    })
    .await?;
    Ok(Some(sandbox))
}

/// The configured ports, and how we show ourselves.
pub fn endpoint_config(config: &Config) -> EndpointConfig {
    EndpointConfig {
        listen_udp: config.sip.listen_udp,
        rtp_ports: config.sip.rtp_ports,
        public_ip: config.sip.public_ip,
        speaks_streams: config.speaks_streams(),
        user_agent: USER_AGENT.to_owned(),
        timers: Timers::default(),
    }
}

fn webhook_client(config: &Config) -> anyhow::Result<WebhookClient> {
    let rules = TargetRules {
        allow_private: config.webhooks.allow_private,
        allow_http: config.webhooks.allow_http,
    };
    if rules.allow_private || rules.allow_http {
        tracing::warn!(
            allow_private = rules.allow_private,
            allow_http = rules.allow_http,
            "webhooks may go to addresses that are not public or not encrypted: for development only"
        );
    }
    let timeout = Duration::from_millis(config.webhooks.timeout_ms);
    Ok(WebhookClient::new(rules, timeout)?)
}

/// How OTPs are dispatched.
pub(crate) fn dispatch_settings(config: &Config) -> DispatchSettings {
    DispatchSettings {
        dispatch_timeout: Duration::from_millis(config.calls.dispatch_timeout_ms),
        limits: CallLimits {
            ring_timeout: Duration::from_secs(config.calls.ring_timeout_seconds),
            longest_call: LONGEST_CALL,
            require_keypress: config.calls.require_keypress,
        },
        media_timeout: Duration::from_secs(config.calls.media_timeout_seconds),
        refund: config.billing.refund,
    }
}

fn review_settings(config: &Config) -> Option<ReviewSettings> {
    let reviews = &config.reviews;
    (!reviews.window.is_zero()).then_some(ReviewSettings {
        window: reviews.window,
        settle: reviews.settle,
        limits: reviews.limits,
    })
}

/// An actor that dies faster than it can be replaced is more than this process can mend.
fn give_up(actor: &str) {
    tracing::error!(
        actor,
        "an actor keeps dying: the process ends, so that it can be started anew"
    );
    std::process::exit(1);
}
