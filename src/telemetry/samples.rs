//! The gauges that are states, not events: looked at now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{Gauge, gauge};
use nexo_actors::dispatch::{CarrierRoute, DispatchDesk};
use nexo_domain::billing::ledger::Bucket;
use nexo_entities::store::Store;
use nexo_voice::endpoint::Endpoint;

use crate::terms::Terms;

/// How often what is in memory is sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// How often the database is asked what all wallets hold: it reads every one of them.
const HOLDINGS_EVERY: Duration = Duration::from_secs(15);

/// What is counted only where several nodes share a database, and seldom there.
const RARE: [&str; 4] = [
    "nexo_node_takeovers_total",
    "nexo_node_taken_deliveries_total",
    "nexo_node_lease_lost_total",
    "nexo_node_renewals_failed_total",
];

/// Whose state is sampled.
pub struct Sampled {
    pub store: Store,
    pub desk: Arc<DispatchDesk>,
    pub endpoint: Endpoint,
    pub draining: Arc<AtomicBool>,
    pub terms: Arc<Terms>,
}

/// Samples until the actix system ends.
pub fn sample(sampled: Sampled) {
    let node = sampled.desk.lease.node().node.clone();
    let version = env!("CARGO_PKG_VERSION");
    gauge!("nexo_build_info", "version" => version, "node" => node).set(1.0);
    // Known before they grow: an increase from nothing is no increase to Prometheus.
    for name in RARE {
        let _ = metrics::counter!(name);
    }
    actix_web::rt::spawn(sample_holdings(
        sampled.store.clone(),
        Arc::clone(&sampled.terms),
    ));
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
    let Sampled { desk, endpoint, .. } = &sampled;
    let carriers: Vec<CarrierGauges> = desk.carriers.iter().map(CarrierGauges::of).collect();
    let calls = gauge!("nexo_calls_in_progress");
    let lease_valid = gauge!("nexo_node_lease_valid");
    let lease_seconds = gauge!("nexo_node_lease_seconds");
    let epoch = gauge!("nexo_node_epoch");
    let draining = gauge!("nexo_draining");
    let mut due = tokio::time::interval(SAMPLE_EVERY);
    loop {
        due.tick().await;
        calls.set(endpoint.calls_in_progress() as f64);
        lease_valid.set(one_if(desk.lease.is_valid()));
        if let Some(left) = desk.lease.left() {
            lease_seconds.set(left.as_secs_f64());
        }
        epoch.set(desk.lease.node().epoch as f64);
        draining.set(one_if(sampled.draining.load(Ordering::Relaxed)));
        for (route, gauges) in desk.carriers.iter().zip(&carriers) {
            gauges.used.set(f64::from(route.admission.channels_used()));
            gauges
                .limit
                .set(f64::from(route.admission.channels_limit()));
        }
    }
}

async fn sample_holdings(store: Store, terms: Arc<Terms>) {
    let price = gauge!("nexo_price_usd");
    let held = Bucket::ALL.map(|bucket| {
        (
            bucket,
            gauge!("nexo_wallet_held_usd", "bucket" => bucket.as_str()),
        )
    });
    let wallets = |state: &'static str| gauge!("nexo_wallets", "state" => state);
    let (funded, out_of_funds) = (wallets("funded"), wallets("out_of_funds"));
    let mut due = tokio::time::interval(HOLDINGS_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let cost = terms.now().price;
        price.set(usd(cost.get()));
        // A database that is away says so elsewhere; the last figures stay.
        let Ok(holdings) = store.holdings(cost).await else {
            continue;
        };
        for (bucket, gauge) in &held {
            gauge.set(usd(holdings.held.of(*bucket).get()));
        }
        funded.set(holdings.funded as f64);
        out_of_funds.set(holdings.out_of_funds as f64);
    }
}

fn one_if(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// For a graph, not for a bill.
fn usd(micros: i64) -> f64 {
    micros as f64 / 1e6
}
