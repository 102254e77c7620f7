//! `/healthz` while the process lives, `/readyz` while it can take OTPs.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use nexo_actors::dispatch::DispatchDesk;
use nexo_actors::supervision::mailbox::Measured;
use nexo_actors::supervision::supervisor::{Handle, Supervise};
use nexo_actors::trunk::carrier::CarrierDesk;
use nexo_actors::wallet::Wallet;
use nexo_actors::webhook::WebhookDesk;
use nexo_entities::store::Store;

use super::Edge;

/// How long the database or an actor may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How often readiness is shown as a metric.
const SHOWN_EVERY: Duration = Duration::from_secs(2);

/// What readiness asks.
pub struct Health {
    pub migrations: Vec<String>,
    pub webhooks: Handle<WebhookDesk>,
    pub line_is_up: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// What is said of a node whose lease has ended.
const NO_LEASE: &str =
    "this node's lease has ended: the database did not answer in time, or the process stood still";

/// 200 while the process lives.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(r#"{"ok":true}"#)
}

/// 200 when everything that an OTP needs is there; else 503 with what is wrong.
pub async fn readyz(edge: web::Data<Edge>) -> HttpResponse {
    let problems = problems(&edge).await;
    let mut answer = match problems.is_empty() {
        true => HttpResponse::Ok(),
        false => HttpResponse::ServiceUnavailable(),
    };
    answer.json(serde_json::json!({ "ok": problems.is_empty(), "problems": problems }))
}

/// Shows as a metric what `/readyz` would say, for as long as the process runs.
pub async fn show_readiness(edge: web::Data<Edge>) {
    let ready = metrics::gauge!("nexo_ready");
    let mut due = tokio::time::interval(SHOWN_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let is_ready = problems(&edge).await.is_empty();
        ready.set(f64::from(u8::from(is_ready)));
    }
}

/// What keeps this node from taking OTPs.
async fn problems(edge: &Edge) -> Vec<String> {
    let mut problems = database(&edge.store, &edge.health.migrations).await;
    problems.extend(actors(&edge.desk, &edge.health.webhooks).await);
    for route in &edge.desk.carriers {
        let trunk = route.trunk.now();
        let (carrier, gateways) = (trunk.carrier, &trunk.gateways);
        if gateways.is_empty() {
            problems.push(format!("carrier {carrier} has no gateway"));
        } else if !gateways.iter().any(|gateway| gateway.state.is_up()) {
            let names: Vec<&str> = gateways.iter().map(|g| g.name.as_str()).collect();
            let names = names.join(", ");
            problems.push(format!(
                "carrier {carrier} has no usable gateway: {names} is down"
            ));
        }
    }
    if !(edge.health.line_is_up)() {
        problems.push("the SIP endpoint is down".to_owned());
    }
    if !edge.desk.lease.is_valid() {
        problems.push(NO_LEASE.to_owned());
    }
    if let Some(reason) = edge.store.stopped() {
        problems.push(format!(
            "the disk failed under the database, and nothing more is accepted until a restart: {reason}"
        ));
    }
    if edge.is_draining() {
        problems.push("shutting down".to_owned());
    }
    problems
}

async fn database(store: &Store, migrations: &[String]) -> Vec<String> {
    let asked = async {
        store.ping().await?;
        store.migrations_current(migrations).await
    };
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(error)) => vec![format!("database: {error}")],
        Err(_) => vec!["the database does not answer".to_owned()],
    }
}

async fn actors(desk: &DispatchDesk, webhooks: &Handle<WebhookDesk>) -> Vec<String> {
    let mut silent = Vec::new();
    for carrier in &desk.carriers {
        silent.extend(silent_name::<CarrierDesk>(&carrier.desk).await);
    }
    for wallet in desk.wallets.all() {
        silent.extend(silent_name::<Wallet>(wallet).await);
    }
    silent.extend(silent_name::<WebhookDesk>(webhooks).await);
    silent
}

async fn silent_name<A>(actor: &Handle<A>) -> Option<String>
where
    A: actix::Actor<Context = actix::Context<A>> + actix::Handler<Measured<Supervise>>,
    <A as actix::Handler<Measured<Supervise>>>::Result:
        actix::dev::MessageResponse<A, Measured<Supervise>>,
{
    let beat = actor.ask(Supervise::Beat, ANSWER_WITHIN).await;
    beat.is_err()
        .then(|| format!("actor {} does not answer", actor.name()))
}
