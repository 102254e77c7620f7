//! One gateway, assembled from its configuration.
//!
//! The order matters. Ports come first, so that a second gateway on the same ports touches nothing. Then the
//! database and what the previous run left in it, then voice, the actors, and HTTP last.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App as WebApp, web};
use anyhow::Context;
use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use nexo_actors::dispatch::live_deliveries::LiveDeliveries;
use nexo_actors::dns::Resolver;
use nexo_actors::engine::{Engine, EngineParts};
use nexo_actors::jobs::{low_balance, reviews};
use nexo_actors::node::lease::{LeaseHolder, NodeSettings};
use nexo_actors::recovery::reaper;
use nexo_actors::task_set::TaskSet;
use nexo_actors::test_hooks;
use nexo_actors::trunk::carrier::{Line, Trunk};
use nexo_actors::trunk::monitor::{Locate, TrunkMonitor};
use nexo_actors::webhook::client::WebhookClient;
use nexo_domain::installation_secret::InstallationSecret;
use nexo_domain::verification::code::CodeKey;
use nexo_entities::store::{Store, StoreError};
use nexo_voice::endpoint::Endpoint;
use nexo_voice::net::locate::AddressFamilies;
use nexo_voice::sandbox::{Sandbox, SandboxConfig};
use nexo_voice::speech::prompts::PromptSet;
use tokio::sync::Mutex;

use crate::api::auth::keyring::{KeyRing, write_uses_periodically};
use crate::api::hooks::registry::Integrations;
use crate::api::resources::bank_notifications::BankNotifications;
use crate::api::state::Health;
use crate::api::verifications::VerificationMeters;
use crate::api::verifications::turns::Turns;
use crate::api::{self, ApiState, Pacer};
use crate::config::Config;
use crate::dashboard::{self, LowBalanceEmails, SiteServices, SiteState};
use crate::database::Serving;
use crate::database::installation;
use crate::http::methods::derive_methods;
use crate::http::{self, ConnectionLimiter, ServerOptions};
use crate::integrations::HookKeys;
use crate::quotas::{self, Quotas};
use crate::read_limits::{Bounds, ReadLimits};
use crate::telemetry::{self, Sampled};
use crate::terms::Terms;
use crate::trunks;

mod caches;
pub mod ports;
pub mod preflight;
pub mod reload;
pub mod settings;
pub(crate) mod shutdown;
pub mod systemd;

pub use ports::Ports;

use caches::Caches;
use reload::{ReloadMeters, Reloader};

/// The time from a call's acceptance to its settlement that customers are promised.
const CALL_END_TIMEOUT: Duration = Duration::from_secs(60);
/// Writing connections to PostgreSQL: one for each wallet actor, and some for the rest.
const POSTGRES_WRITERS: u32 = 8;
const WALLET_LANES_POSTGRES: usize = 4;

/// Opens the configured database, locks it for this process and migrates its schema.
///
/// # Errors
/// Those of the store, or if another process serves the same SQLite file.
pub async fn open_store(config: &Config) -> anyhow::Result<(Store, Serving)> {
    let (store, serving) =
        crate::database::connect_to_serve(&config.database, POSTGRES_WRITERS).await?;
    nexo_migration::up(store.connection()).await.context("migrating the database schema failed")?;
    Ok((store, serving))
}

/// A running gateway.
pub struct App {
    pub http: SocketAddr,
    pub metrics: SocketAddr,
    pub engine: Engine,
    pub store: Store,
    /// The built-in carrier, if it is enabled.
    pub sandbox: Option<Sandbox>,
    /// Applies another configuration.
    pub reloader: Arc<Reloader>,
    endpoint: Endpoint,
    jobs: TaskSet,
    keys: Arc<KeyRing>,
    integrations: Arc<Integrations>,
    quotas: Arc<Quotas>,
    min_drain: Duration,
    draining: Arc<AtomicBool>,
    servers: Vec<ServerHandle>,
    lease: LeaseHolder,
    _serving: Serving,
}

/// Wraps the SIP endpoint that the actors place calls with; the demo observes the calls there.
pub type WrapLine = Box<dyn FnOnce(Arc<dyn Line>) -> Arc<dyn Line>>;

impl App {
    /// Starts everything on a database that [`open_store`] opened. `recorder` is the process's metrics recorder.
    ///
    /// # Errors
    /// What keeps the gateway from working, in one line.
    pub async fn start(
        config: &Config,
        ports: Ports,
        (store, serving): (Store, Serving),
        recorder: PrometheusHandle,
        wrap_line: Option<WrapLine>,
    ) -> anyhow::Result<App> {
        let prompts = crate::voice::prompts(config)?;
        let resolver =
            Resolver::start(&config.dns.servers).context("the DNS thread cannot start")?;
        let live = Arc::new(LiveDeliveries::default());
        let secret = installation::secret(config, &store).await?;
        let lease = start_node(config, &store, secret.as_ref(), Arc::clone(&live)).await?;
        let sandbox = start_sandbox(config).await?;
        let telephony = Telephony::start(config, prompts, sandbox.as_ref(), &store).await?;
        let quotas = Quotas::load(&store, &config.quotas).await?;
        let caches =
            Caches::load(&store, Arc::clone(&quotas), HookKeys::of(secret.as_ref())).await?;
        let line: Arc<dyn Line> = Arc::new(telephony.endpoint.clone());
        let line = wrap_line.map_or(Arc::clone(&line), |wrap| wrap(line));
        let outbound = Outbound {
            trunks: telephony.trunks.clone(),
            line,
            webhooks: settings::webhook_client(config, &resolver)?,
        };
        let engine = start_engine(config, &store, &caches, &lease, live, outbound).await?;

        let draining = Arc::new(AtomicBool::new(false));
        let terms = Terms::of(config);
        let read_limits = ReadLimits::new(Bounds::of(&config.server));
        let pacer = Arc::new(Pacer::new(config.server.free_requests_per_second));
        let api = web::Data::new(ApiState {
            store: store.clone(),
            keys: Arc::clone(&caches.keys),
            integrations: Arc::clone(&caches.integrations),
            routing: Arc::clone(&caches.routing),
            dispatcher: Arc::clone(&engine.dispatcher),
            health: health(&engine, &telephony.endpoint),
            trusted_sources: config.server.trusted_sources(),
            deposit_url: deposit_url(config),
            terms: Arc::clone(&terms),
            read_limits: Arc::clone(&read_limits),
            pacer: Arc::clone(&pacer),
            quotas: Arc::clone(&quotas),
            draining: Arc::clone(&draining),
            codes: secret.as_ref().map(CodeKey::of),
            verifications: VerificationMeters::register(),
            checks: Turns::default(),
            internal_errors: metrics::counter!("nexo_internal_errors_total"),
            replays: metrics::counter!("nexo_idempotent_replays_total"),
        });
        let services = SiteServices {
            store: store.clone(),
            terms: Arc::clone(&terms),
            quotas: Arc::clone(&quotas),
            routing: Arc::clone(&caches.routing),
            webhooks: engine.webhooks.clone(),
            live_deliveries: Arc::clone(&engine.live),
            dispatcher: Arc::clone(&engine.dispatcher),
            read_limits: Arc::clone(&read_limits),
            resolver,
        };
        let site = web::Data::new(SiteState::new(config, services)?);
        let connections = ConnectionLimiter::of_api(&config.server);
        let (http, metrics) = (ports.http.local_addr()?, ports.metrics.local_addr()?);
        let api_server = serve_http(config, ports.http, connections.clone(), &api, &site)?;
        let metrics_server =
            telemetry::serve_metrics(ports.metrics, recorder, Arc::clone(&engine.dispatcher))?;
        let servers = vec![api_server.handle(), metrics_server.handle()];
        telemetry::sample(Sampled {
            store: store.clone(),
            dispatcher: Arc::clone(&engine.dispatcher),
            endpoint: telephony.endpoint.clone(),
            draining: Arc::clone(&draining),
            terms: Arc::clone(&terms),
            site: config.server.site_url(http),
        });
        let jobs = start_jobs(config, &api, &site);
        actix_web::rt::spawn(api_server);
        actix_web::rt::spawn(metrics_server);
        let reloader = Arc::new(Reloader {
            dispatcher: Arc::clone(&engine.dispatcher),
            terms,
            read_limits,
            pacer,
            quotas: Arc::clone(&quotas),
            connections,
            watch: Mutex::new(Some(telephony.watch)),
            locator: telephony.locator,
            sandbox: sandbox.as_ref().map(Sandbox::local_addr),
            store: store.clone(),
            config: ArcSwap::from_pointee(config.clone()),
            meters: ReloadMeters::new(),
        });
        Ok(App {
            http,
            metrics,
            engine,
            store,
            sandbox,
            reloader,
            endpoint: telephony.endpoint,
            jobs,
            keys: Arc::clone(&caches.keys),
            integrations: Arc::clone(&caches.integrations),
            quotas,
            min_drain: Duration::from_millis(config.server.drain_at_least_ms),
            draining,
            servers,
            lease,
            _serving: serving,
        })
    }

    /// A probe for the service manager: whether the SIP and media threads make progress.
    pub fn is_alive(&self) -> impl Fn() -> bool + 'static {
        let endpoint = self.endpoint.clone();
        move || endpoint.is_alive()
    }
}

/// Starts the built-in carrier on a free loopback port, if it is enabled.
///
/// # Errors
/// If it cannot listen.
pub async fn start_sandbox(config: &Config) -> anyhow::Result<Option<Sandbox>> {
    if !config.sandbox.enabled {
        return Ok(None);
    }
    let record_dir = &config.sandbox.record_dir;
    let loopback = match AddressFamilies::of(config.sip.listen_udp.ip()) {
        AddressFamilies::V4 | AddressFamilies::Both => IpAddr::from(Ipv4Addr::LOCALHOST),
        AddressFamilies::V6 => Ipv6Addr::LOCALHOST.into(),
    };
    let sandbox = Sandbox::start(SandboxConfig {
        record_dir: (!record_dir.is_empty()).then(|| record_dir.into()),
        loss_percent: config.sandbox.loss_percent,
        jitter_ms: config.sandbox.jitter_ms,
        voice: crate::voice::recorded(config)?,
        seed: rand::random(),
        ..SandboxConfig::new(SocketAddr::new(loopback, 0))
    })
    .await?;
    Ok(Some(sandbox))
}

/// The SIP endpoint, the trunks it reaches, and their monitor.
struct Telephony {
    endpoint: Endpoint,
    trunks: Vec<Trunk>,
    locator: Arc<dyn Locate>,
    watch: TrunkMonitor,
}

impl Telephony {
    async fn start(
        config: &Config,
        prompts: &'static PromptSet,
        sandbox: Option<&Sandbox>,
        store: &Store,
    ) -> anyhow::Result<Telephony> {
        let locator: Arc<dyn Locate> = Arc::new(trunks::DnsLocator::of(config)?);
        let sandbox = sandbox.map(Sandbox::local_addr);
        let trunks = trunks::from_config(config, sandbox, true, locator.as_ref()).await?;
        let endpoint = Endpoint::start(settings::endpoint_config(config)?, prompts).await?;
        let watch = TrunkMonitor::start(&endpoint, trunks.clone(), Arc::clone(&locator));
        trunks::apply_drains(&trunks, store).await;
        Ok(Telephony { endpoint, trunks, locator, watch })
    }
}

/// Starts a new epoch of this node, holds its lease from here on, and settles what its previous run left.
async fn start_node(
    config: &Config,
    store: &Store,
    secret: Option<&InstallationSecret>,
    live: Arc<LiveDeliveries>,
) -> anyhow::Result<LeaseHolder> {
    let name = config.cluster.node_name();
    let settings = NodeSettings {
        max_call: max_call(config),
        secret: secret.map(InstallationSecret::check_value),
    };
    let holder = LeaseHolder::start(store, name, settings, move || live.expect_lost())
        .await
        .map_err(|error| match error {
            StoreError::NodeInUse { name, .. } => anyhow::anyhow!(
                "node {name} already runs on this database: stop it, or set another [cluster] node"
            ),
            StoreError::SecretDiffers => installation::differs(config),
            error => error.into(),
        })?;
    let node = holder.lease.node();
    let settled = reaper::recover(store, &node, config.billing.refund).await?;
    tracing::info!(node = name, epoch = node.epoch, settled, "recovered");
    Ok(holder)
}

/// How long after the end of its lease a node's call may still last: a call dialled at the end of the lease may be
/// accepted by the dispatch timeout later.
fn max_call(config: &Config) -> Duration {
    let dispatch = Duration::from_millis(config.calls.dispatch_timeout_ms);
    test_hooks::duration("NEXO_TEST_LONGEST_CALL_MS", dispatch + CALL_END_TIMEOUT)
}

/// What the engine reaches other systems with.
struct Outbound {
    trunks: Vec<Trunk>,
    line: Arc<dyn Line>,
    webhooks: WebhookClient,
}

async fn start_engine(
    config: &Config,
    store: &Store,
    caches: &Arc<Caches>,
    lease: &LeaseHolder,
    live: Arc<LiveDeliveries>,
    outbound: Outbound,
) -> anyhow::Result<Engine> {
    let (changed, missed) = (Arc::clone(caches), Arc::clone(caches));
    let engine = Engine::start(EngineParts {
        wallet_lanes: match store.is_sqlite() {
            true => 1,
            false => WALLET_LANES_POSTGRES,
        },
        mask_phones_after_days: config.privacy.mask_phones_after_days,
        test_deliveries_days: config.privacy.test_deliveries_days,
        store: store.clone(),
        lease: Arc::clone(&lease.lease),
        live,
        trunks: outbound.trunks,
        line: outbound.line,
        settings: settings::dispatch_settings(config),
        max_call: max_call(config),
        webhooks: outbound.webhooks,
        escalate: Box::new(exit_after_crash_loop),
        on_change: Box::new(move |change| changed.on_change(change)),
        on_gap: Box::new(move || missed.forget_all()),
        freshness: Arc::clone(&caches.freshness),
    })
    .await?;
    caches.follow_drains(&engine.dispatcher);
    Ok(engine)
}

/// Restarting the actor did not help, so the service manager has to restart the process.
fn exit_after_crash_loop(actor: &str) {
    tracing::error!(actor, "an actor keeps crashing; the process exits to be restarted");
    std::process::exit(1);
}

fn health(engine: &Engine, endpoint: &Endpoint) -> Health {
    let endpoint = endpoint.clone();
    Health {
        migrations: nexo_migration::names(),
        webhooks: engine.webhooks.clone(),
        sip_endpoint_is_up: Arc::new(move || endpoint.is_alive()),
    }
}

fn deposit_url(config: &Config) -> String {
    let public_url = config.server.public_url.trim_end_matches('/');
    format!("{public_url}/dashboard/wallet/top-up")
}

fn serve_http(
    config: &Config,
    listener: std::net::TcpListener,
    limiter: ConnectionLimiter,
    api: &web::Data<ApiState>,
    site: &web::Data<SiteState>,
) -> anyhow::Result<Server> {
    let (api, site) = (api.clone(), site.clone());
    let bank = web::Data::new(BankNotifications::new(&config.deposits, api.store.clone()));
    let options = ServerOptions { limiter, workers: None, complete: api::complete_refusal };
    let server = http::serve(listener, options, move || {
        WebApp::new()
            .app_data(api.clone())
            .app_data(bank.clone())
            .app_data(site.clone())
            .wrap(from_fn(derive_methods))
            .wrap(api::middleware())
            .configure(dashboard::routes)
            .configure(api::routes)
            .configure(dashboard::fallback)
    })?;
    Ok(server)
}

/// Starts the periodic jobs. Those in the [`TaskSet`] use the database and end before it is closed.
fn start_jobs(config: &Config, api: &web::Data<ApiState>, site: &web::Data<SiteState>) -> TaskSet {
    actix_web::rt::spawn(api::health::export_readiness(api.clone()));
    actix_web::rt::spawn(dashboard::remove_expired(Arc::clone(site)));
    let store = &api.store;
    let mut jobs = TaskSet::default();
    jobs.spawn(low_balance::notify_low_balances(
        store.clone(),
        Arc::new(LowBalanceEmails::new(Arc::clone(site))),
    ));
    if let Some(settings) = settings::review_settings(config) {
        jobs.spawn(reviews::review_traffic(store.clone(), settings));
    }
    jobs.spawn(write_uses_periodically(
        Arc::clone(&api.keys),
        Arc::clone(&api.integrations),
        store.clone(),
    ));
    jobs.spawn(quotas::write_periodically(Arc::clone(&api.quotas)));
    jobs
}
