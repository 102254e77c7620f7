//! `/healthz`: the process is alive. `/readyz`: it can accept OTPs.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use nexo_actors::dispatch::Dispatcher;
use nexo_actors::supervision::mailbox::Measured;
use nexo_actors::supervision::{handle::Handle, supervisor::Supervise};
use nexo_actors::trunk::carrier::CarrierActor;
use nexo_actors::wallet::Wallet;
use nexo_actors::webhook::WebhookActor;
use nexo_entities::store::Store;
use serde::Serialize;
use utoipa::ToSchema;

use super::body;
use super::state::ApiState;

/// How long the database or an actor may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often readiness is exported as a metric.
const METRIC_INTERVAL: Duration = Duration::from_secs(2);

const NO_LEASE: &str = "this node's lease has ended: the database did not answer in time, or the process was suspended";

const DISK_FULL: &str =
    "the disk under the database is full; OTPs are refused until there is space";

/// The process is alive.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    ok: bool,
}

/// Whether the gateway can accept OTPs, and the problems if it cannot.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    ok: bool,
    problems: Vec<String>,
}

/// 200 while the process is alive.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    summary = "Whether the process is alive",
    responses((status = 200, description = "It is.", body = Alive))
)]
pub async fn healthz() -> HttpResponse {
    body::ok(&Alive { ok: true })
}

/// 200 if everything that an OTP needs is available, else 503 with the problems.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    summary = "Whether the gateway can accept OTPs",
    responses(
        (status = 200, description = "It can.", body = Readiness),
        (status = 503, description = "It cannot; `problems` lists why.", body = Readiness),
    )
)]
pub async fn readyz(state: web::Data<ApiState>) -> HttpResponse {
    let problems = problems(&state).await;
    let mut answer = match problems.is_empty() {
        true => HttpResponse::Ok(),
        false => HttpResponse::ServiceUnavailable(),
    };
    answer.json(Readiness { ok: problems.is_empty(), problems })
}

/// Exports the answer of `/readyz` as a metric, as long as the process runs.
pub async fn export_readiness(state: web::Data<ApiState>) {
    let ready = metrics::gauge!("nexo_ready");
    let mut due = tokio::time::interval(METRIC_INTERVAL);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let is_ready = problems(&state).await.is_empty();
        ready.set(f64::from(u8::from(is_ready)));
    }
}

/// What keeps this node from accepting OTPs.
async fn problems(state: &ApiState) -> Vec<String> {
    let mut problems = database(&state.store, &state.health.migrations).await;
    problems.extend(actors(&state.dispatcher, &state.health.webhooks).await);
    let trunks = state.dispatcher.carriers.iter().map(|route| route.trunk.current());
    let trunks: Vec<_> = trunks.filter(|trunk| !trunk.gateways.is_empty()).collect();
    if trunks.is_empty() {
        problems.push("no carrier has a gateway, and the sandbox is disabled".to_owned());
    }
    for trunk in trunks {
        let (carrier, gateways) = (trunk.carrier, &trunk.gateways);
        if !gateways.iter().any(|gateway| gateway.state.is_up()) {
            let names: Vec<&str> = gateways.iter().map(|g| g.name.as_str()).collect();
            let names = names.join(", ");
            problems.push(format!("carrier {carrier} has no usable gateway: {names} is down"));
        }
    }
    if !(state.health.sip_endpoint_is_up)() {
        problems.push("the SIP endpoint is down".to_owned());
    }
    if !state.dispatcher.lease.is_valid() {
        problems.push(NO_LEASE.to_owned());
    }
    if let Some(reason) = state.store.stop_reason() {
        problems.push(format!(
            "the disk failed under the database; nothing is accepted until a restart: {reason}"
        ));
    }
    if state.store.is_disk_full() {
        problems.push(DISK_FULL.to_owned());
    }
    if state.is_draining() {
        problems.push("shutting down".to_owned());
    }
    problems
}

async fn database(store: &Store, migrations: &[String]) -> Vec<String> {
    let probe = async {
        store.ping().await?;
        store.check_migrations(migrations).await
    };
    match tokio::time::timeout(PROBE_TIMEOUT, probe).await {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(error)) => vec![format!("database: {error}")],
        Err(_) => vec!["the database does not answer".to_owned()],
    }
}

async fn actors(dispatcher: &Dispatcher, webhooks: &Handle<WebhookActor>) -> Vec<String> {
    let mut silent = Vec::new();
    for carrier in &dispatcher.carriers {
        silent.extend(silent_name::<CarrierActor>(&carrier.actor).await);
    }
    for wallet in dispatcher.wallets.all() {
        silent.extend(silent_name::<Wallet>(wallet).await);
    }
    silent.extend(silent_name::<WebhookActor>(webhooks).await);
    silent
}

async fn silent_name<A>(actor: &Handle<A>) -> Option<String>
where
    A: actix::Actor<Context = actix::Context<A>> + actix::Handler<Measured<Supervise>>,
    <A as actix::Handler<Measured<Supervise>>>::Result:
        actix::dev::MessageResponse<A, Measured<Supervise>>,
{
    let beat = actor.ask(Supervise::Heartbeat, PROBE_TIMEOUT).await;
    beat.is_err().then(|| format!("actor {} does not answer", actor.name()))
}
