//! Logs and metrics of the process.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use nexo_actors::dispatch::DispatchDesk;
use nexo_actors::engine::Engine;
use nexo_voice::endpoint::Endpoint;
use tracing_subscriber::EnvFilter;

use crate::trunk_status::{CarrierStatus, Status};

/// How often states are sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// From an OTP's acceptance in process to a slow disk's commit.
const LATENCY_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
];
const BATCH: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0,
];

/// Sends logs to standard error. `RUST_LOG` chooses what is logged; `info` by default.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,actix_server=warn,sqlx=warn,sea_orm=warn"));
    // A test that starts the gateway twice in one process has a subscriber already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
    // A panic in an actor is survived; it belongs in the log with everything else.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let what = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, what, "panic");
    }));
}

/// Makes Prometheus the process's recorder.
///
/// # Errors
/// When another recorder was installed before.
pub fn install_recorder() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), LATENCY_SECONDS)?
        .set_buckets_for_metric(Matcher::Full("nexo_ledger_batch_postings".into()), BATCH)?
        .install_recorder()
        .context("the metrics recorder could not be installed")?;
    describe();
    Ok(handle)
}

/// Serves `/metrics` on a listener of its own.
///
/// Beside it `/trunks`: what is known of each gateway, for operators.
pub fn serve_metrics(
    listener: TcpListener,
    handle: PrometheusHandle,
    desk: Arc<DispatchDesk>,
) -> std::io::Result<Server> {
    let desk = web::Data::from(desk);
    let upkeep = handle.clone();
    actix_web::rt::spawn(async move {
        let mut due = tokio::time::interval(Duration::from_secs(5));
        loop {
            due.tick().await;
            upkeep.run_upkeep();
        }
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(handle.clone()))
            .app_data(desk.clone())
            .route("/metrics", web::get().to(metrics_page))
            .route("/trunks", web::get().to(trunks_page))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

async fn metrics_page(handle: web::Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(handle.render())
}

async fn trunks_page(desk: web::Data<DispatchDesk>) -> HttpResponse {
    let carriers = desk.carriers.iter();
    let carriers = carriers.map(|route| CarrierStatus::of(&route.trunk, Some(&route.admission)));
    HttpResponse::Ok().json(Status {
        running: true,
        carriers: carriers.collect(),
    })
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};

    describe_counter!(
        "nexo_http_requests_total",
        "HTTP requests by route and status."
    );
    describe_histogram!(
        "nexo_http_request_seconds",
        "Time to answer an HTTP request."
    );
    describe_counter!(
        "nexo_otp_requests_total",
        "OTPs asked for, by carrier and by what the customer was told."
    );
    describe_counter!(
        "nexo_otps_total",
        "OTPs that reached a final state, by carrier and outcome."
    );
    describe_counter!("nexo_otp_refunds_total", "OTPs refunded, by carrier.");
    describe_counter!(
        "nexo_phone_window_rejections_total",
        "OTPs refused because the phone was called less than 30 s ago."
    );
    describe_gauge!(
        "nexo_calls_in_progress",
        "Calls that have been placed and have not ended."
    );
    describe_gauge!("nexo_channels_used", "Channels in use, by carrier.");
    describe_gauge!(
        "nexo_channels_limit",
        "Channels that may be in use, by carrier."
    );
    describe_gauge!(
        "nexo_gateway_up",
        "Whether a gateway is counted on, by carrier and gateway."
    );
    describe_gauge!(
        "nexo_gateway_registered",
        "Whether we are registered with a gateway that wants it."
    );
    describe_gauge!(
        "nexo_gateway_round_trip_seconds",
        "The way to a gateway and back, as its last probe found it."
    );
    describe_histogram!(
        "nexo_ledger_commit_seconds",
        "Time to commit one batch of postings."
    );
    describe_histogram!("nexo_ledger_batch_postings", "Postings in one commit.");
    describe_counter!("nexo_ledger_debits_total", "Debits posted.");
    describe_counter!(
        "nexo_ledger_debits_refused_total",
        "Debits refused: funds short or window closed."
    );
    describe_counter!("nexo_ledger_refunds_total", "Refunds posted.");
    describe_counter!(
        "nexo_ledger_commit_retries_total",
        "Commits tried again because another writer was in the way."
    );
    describe_counter!(
        "nexo_webhook_attempts_total",
        "Webhook attempts, by outcome."
    );
    describe_histogram!("nexo_webhook_seconds", "Time of one webhook attempt.");
    describe_gauge!(
        "nexo_webhook_backlog",
        "Webhook attempts that wait to be sent."
    );
    describe_gauge!(
        "nexo_node_lease_valid",
        "Whether this node may take OTPs and dial."
    );
    describe_gauge!(
        "nexo_node_lease_seconds",
        "How long its lease lasts unless it is renewed; 0 on SQLite, where it never ends."
    );
    describe_gauge!("nexo_node_epoch", "The present life of this node.");
    describe_counter!(
        "nexo_node_renewals_failed_total",
        "Renewals of the lease that failed and were tried again."
    );
    describe_counter!(
        "nexo_node_lease_lost_total",
        "How often this node found that it had been taken for dead."
    );
    describe_counter!(
        "nexo_node_takeovers_total",
        "How often this node took over what a dead one had left."
    );
    describe_counter!(
        "nexo_node_taken_deliveries_total",
        "Deliveries of dead nodes that this node has settled."
    );
    describe_counter!(
        "nexo_masked_phones_total",
        "Deliveries whose phone was masked for its age."
    );
    describe_gauge!(
        "nexo_masking_last_run_timestamp_seconds",
        "When phones were last looked through for masking."
    );
    describe_counter!(
        "nexo_actor_restarts_total",
        "Actors replaced after a panic or a freeze."
    );
    describe_counter!(
        "nexo_internal_errors_total",
        "Failures that are ours; any is worth an alert."
    );
}

/// Samples the gauges that are states, not events.
pub fn sample(engine: &Engine, endpoint: &Endpoint) {
    let (desk, endpoint) = (Arc::clone(&engine.desk), endpoint.clone());
    let gauges: Vec<_> = desk
        .carriers
        .iter()
        .map(|route| {
            let carrier = route.trunk.carrier.name();
            let used = metrics::gauge!("nexo_channels_used", "carrier" => carrier);
            let limit = metrics::gauge!("nexo_channels_limit", "carrier" => carrier);
            (used, limit)
        })
        .collect();
    let calls = metrics::gauge!("nexo_calls_in_progress");
    let lease_valid = metrics::gauge!("nexo_node_lease_valid");
    let lease_seconds = metrics::gauge!("nexo_node_lease_seconds");
    let epoch = metrics::gauge!("nexo_node_epoch");
    actix_web::rt::spawn(async move {
        let mut due = tokio::time::interval(SAMPLE_EVERY);
        loop {
            due.tick().await;
            calls.set(endpoint.calls_in_progress() as f64);
            lease_valid.set(f64::from(u8::from(desk.lease.is_valid())));
            if let Some(left) = desk.lease.left() {
                lease_seconds.set(left.as_secs_f64());
            }
            epoch.set(desk.lease.node().epoch as f64);
            for (route, (used, limit)) in desk.carriers.iter().zip(&gauges) {
                used.set(f64::from(route.admission.channels_used()));
                limit.set(f64::from(route.admission.channels_limit()));
            }
        }
    });
}
