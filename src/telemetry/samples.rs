//! Periodically sampled gauges.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{Gauge, gauge};
use nexo_actors::dispatch::{CarrierRoute, Dispatcher};
use nexo_domain::billing::ledger::Bucket;
use nexo_entities::store::Store;
use nexo_voice::endpoint::Endpoint;

use super::line_limit::take_suppressed;
use crate::http::parser_errors::register_counters;
use crate::terms::Terms;

/// How often in-memory states are sampled.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);
/// How often the totals of all wallets are queried. The query reads every wallet.
const TOTALS_INTERVAL: Duration = Duration::from_secs(15);

/// How often suppressed log lines are reported.
const SUPPRESSED_INTERVAL: Duration = Duration::from_secs(10);

/// Counters that rarely change.
const RARE: [&str; 5] = [
    "nexo_node_takeovers_total",
    "nexo_node_taken_deliveries_total",
    "nexo_node_lease_lost_total",
    "nexo_node_renewals_failed_total",
    "nexo_log_lines_suppressed_total",
];

/// The sources of the samples.
pub struct Sampled {
    pub store: Store,
    pub dispatcher: Arc<Dispatcher>,
    pub endpoint: Endpoint,
    pub draining: Arc<AtomicBool>,
    pub terms: Arc<Terms>,
    /// The URL of the site, to which dashboards link.
    pub site: String,
}

/// Samples until the actix system ends.
pub fn sample(sampled: Sampled) {
    let node = sampled.dispatcher.lease.node().node.clone();
    let version = env!("CARGO_PKG_VERSION");
    let site = sampled.site.clone();
    gauge!("nexo_build_info", "version" => version, "node" => node, "site" => site).set(1.0);
    // Register at 0: Prometheus sees no increase from a missing series.
    for name in RARE {
        let _ = metrics::counter!(name);
    }
    register_counters();
    actix_web::rt::spawn(report_suppressed_lines());
    actix_web::rt::spawn(sample_totals(sampled.store.clone(), Arc::clone(&sampled.terms)));
    actix_web::rt::spawn(sample_memory(sampled));
}

struct CarrierGauges {
    used: Gauge,
    limit: Gauge,
}

impl CarrierGauges {
    fn of(route: &CarrierRoute) -> CarrierGauges {
        let carrier = route.trunk.carrier.name();
        CarrierGauges {
            used: gauge!("nexo_channels_used", "carrier" => carrier),
            limit: gauge!("nexo_channels_limit", "carrier" => carrier),
        }
    }
}

async fn sample_memory(sampled: Sampled) {
    let Sampled { dispatcher, endpoint, .. } = &sampled;
    let carriers: Vec<CarrierGauges> = dispatcher.carriers.iter().map(CarrierGauges::of).collect();
    let calls = gauge!("nexo_calls_in_progress");
    let lease_valid = gauge!("nexo_node_lease_valid");
    let lease_seconds = gauge!("nexo_node_lease_seconds");
    let epoch = gauge!("nexo_node_epoch");
    let draining = gauge!("nexo_draining");
    let sandbox_serves_live = gauge!("nexo_sandbox_serves_live");
    let mut due = tokio::time::interval(MEMORY_INTERVAL);
    loop {
        due.tick().await;
        calls.set(endpoint.calls_in_progress() as f64);
        lease_valid.set(as_gauge(dispatcher.lease.is_valid()));
        if let Some(left) = dispatcher.lease.remaining() {
            lease_seconds.set(left.as_secs_f64());
        }
        epoch.set(dispatcher.lease.node().epoch as f64);
        draining.set(as_gauge(sampled.draining.load(Ordering::Relaxed)));
        sandbox_serves_live.set(as_gauge(dispatcher.serves_live_keys_by_sandbox()));
        for (route, gauges) in dispatcher.carriers.iter().zip(&carriers) {
            gauges.used.set(f64::from(route.admission.channels_used()));
            gauges.limit.set(f64::from(route.admission.channels_limit()));
        }
    }
}

async fn sample_totals(store: Store, terms: Arc<Terms>) {
    let price = gauge!("nexo_price_usd");
    let held = Bucket::ALL
        .map(|bucket| (bucket, gauge!("nexo_wallet_held_usd", "bucket" => bucket.as_str())));
    let wallets = |state: &'static str| gauge!("nexo_wallets", "state" => state);
    let (funded, out_of_funds) = (wallets("funded"), wallets("out_of_funds"));
    let mut due = tokio::time::interval(TOTALS_INTERVAL);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let cost = terms.current().price;
        price.set(usd(cost.get()));
        // Other metrics show a database outage; the last values stay.
        let Ok(totals) = store.ledger().totals(cost).await else {
            continue;
        };
        for (bucket, gauge) in &held {
            gauge.set(usd(totals.held.of(*bucket).get()));
        }
        funded.set(totals.funded as f64);
        out_of_funds.set(totals.out_of_funds as f64);
    }
}

/// Logs and counts the lines that the log's limit suppressed.
async fn report_suppressed_lines() {
    let suppressed = metrics::counter!("nexo_log_lines_suppressed_total");
    let mut due = tokio::time::interval(SUPPRESSED_INTERVAL);
    loop {
        due.tick().await;
        let lines = take_suppressed();
        if lines > 0 {
            suppressed.increment(lines);
            tracing::warn!(lines, "log lines suppressed: the same lines were written too often");
        }
    }
}

fn as_gauge(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Approximate; for graphs only.
fn usd(micros: i64) -> f64 {
    micros as f64 / 1e6
}
