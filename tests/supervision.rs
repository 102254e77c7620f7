//! Every actor is made to panic under load: it is back within a second, the process lives, and no
//! wallet is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::{FreshDatabase, backends};
use metrics_exporter_prometheus::PrometheusHandle;
use nexo_actors::clock::unix_ms;
use nexo_actors::supervision::supervisor::Supervise;
use nexo_domain::account::api_key::{ApiKey, KeyMode};
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::accounts::NewAccount;
use nexo_entities::store::accounts::api_keys::NewKey;
use nexo_entities::store::ledger::wallets::Credit;
use nexo_route::app::{App, Ports, open_store};
use nexo_route::config::Config;
use nexo_route::telemetry;

const SETTINGS: [(&str, &str); 6] = [
    ("NEXO_SERVER__LISTEN", "127.0.0.1:0"),
    ("NEXO_METRICS__LISTEN", "127.0.0.1:0"),
    ("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0"),
    ("NEXO_SIP__RTP_PORTS", "0-0"),
    ("NEXO_CALLS__REPEAT", "1"),
    ("NEXO_CLUSTER__NODE", "test"),
];

async fn customer(store: &Store) -> ApiKey {
    let account_id = store
        .create_account(NewAccount {
            email: "a@example.com",
            password_hash: None,
            operator: false,
            language: None,
            page_language: None,
            created_at_ms: unix_ms(),
        })
        .await
        .unwrap();
    store
        .credit_wallet(Credit {
            account_id,
            bucket: Bucket::Balance,
            amount: Micros::new(1_000_000_000),
            reference: "start",
            at_ms: unix_ms(),
        })
        .await
        .unwrap();
    let random: Vec<u8> = (0..96).collect();
    let key = ApiKey::from_random(KeyMode::Live, &random).unwrap();
    store
        .create_key(NewKey {
            account_id,
            name: "test",
            hash: key.hash(),
            hint: key.hint(),
            test: false,
            allowlist: &[],
            created_at_ms: unix_ms(),
        })
        .await
        .unwrap();
    key
}

/// Keeps sending OTPs to busy numbers until told to stop; counts what was accepted.
async fn load(url: String, key: String, stop: Arc<AtomicBool>, next: Arc<AtomicU32>) -> u32 {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut accepted = 0;
    while !stop.load(Ordering::Relaxed) {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let body = format!(r#"{{"phone":"+8497{:05}90","code":"1234"}}"#, n % 100_000);
        let answer = http
            .post(&url)
            .bearer_auth(&key)
            .body(body)
            .send()
            .await
            .unwrap();
        match answer.status().as_u16() {
            202 => accepted += 1,
            // An actor that is being replaced: nothing spent, or settled by the reaper.
            500 | 502 | 503 => {}
            other => panic!("{other}: {}", answer.text().await.unwrap()),
        }
    }
    accepted
}

#[test]
fn every_actor_that_panics_under_load_is_back_within_a_second_and_no_wallet_is_wrong() {
    let recorder = telemetry::install_recorder().unwrap();
    for backend in backends() {
        let recorder = recorder.clone();
        actix_web::rt::System::new().block_on(async {
            let database = FreshDatabase::create(backend);
            panics_are_survived(&database.url, recorder).await;
        });
    }
}

async fn panics_are_survived(database: &str, recorder: PrometheusHandle) {
    let settings = SETTINGS
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .chain([("NEXO_DATABASE__URL".to_owned(), database.to_owned())]);
    let config = Config::load(None, settings).unwrap().config;
    let store = open_store(&config).await.unwrap();
    let key = customer(&store).await.reveal().to_owned();
    let ports = Ports::bind(&config).unwrap();
    let app = App::start(&config, ports, store.clone(), recorder, None)
        .await
        .unwrap();
    let url = format!("http://{}/api/v1/send-otp", app.http);
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU32::new(0));
    let loads: Vec<_> = (0..8)
        .map(|_| {
            let (url, key) = (url.clone(), key.clone());
            let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
            actix_web::rt::spawn(load(url, key, stop, next))
        })
        .collect();
    let ready = format!("http://{}/readyz", app.http);
    let desk = &app.engine.desk;
    for round in 0..3 {
        for route in &desk.carriers {
            route.desk.try_send(Supervise::Panic).unwrap();
        }
        is_ready_within_a_second(&ready).await;
        for wallet in desk.wallets.all() {
            wallet.try_send(Supervise::Panic).unwrap();
        }
        is_ready_within_a_second(&ready).await;
        app.engine.webhooks.try_send(Supervise::Panic).unwrap();
        is_ready_within_a_second(&ready).await;
        let expected = (round + 1) * (desk.carriers.len() as u64 + 2);
        let give_up = Instant::now() + Duration::from_secs(10);
        while app.engine.vitals.restarts() < expected {
            assert!(Instant::now() < give_up, "round {round}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut accepted = 0;
    for load in loads {
        accepted += load.await.unwrap();
    }
    assert!(accepted > 0);
    settled(&app, &store).await;
    app.shutdown().await;
}

async fn is_ready_within_a_second(url: &str) {
    let since = Instant::now();
    loop {
        let answer = reqwest::get(url).await.unwrap();
        if answer.status() == 200 {
            return;
        }
        assert!(
            since.elapsed() < Duration::from_secs(1),
            "not ready after a second: {}",
            answer.text().await.unwrap()
        );
    }
}

/// Waits for the last calls and the reaper, then checks every invariant.
async fn settled(app: &App, store: &Store) {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let checks = store.audit(unix_ms()).await.unwrap();
        let broken: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
        if broken.is_empty() && app.engine.live.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{broken:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
