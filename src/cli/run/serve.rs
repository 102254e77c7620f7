//! `nexo serve`: runs everything until it is told to stop.

use std::time::Duration;

use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::{ApiKey, KeyMode};
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_entities::store::accounts::accounts::NewAccount;
use nexo_entities::store::accounts::api_keys::NewKey;
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::{Conflict, Store, StoreError};
use rand::Rng;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::reload::Reloader;
use crate::app::systemd;
use crate::app::{App, DRAIN_WITHIN, Ports, SETTLE_WITHIN, open_store};
use crate::config::{Config, ConfigError, Loaded};
use crate::{telemetry, voice};

/// What a shutdown may take, with some for closing.
const LONGEST_SHUTDOWN: Duration = DRAIN_WITHIN
    .saturating_add(SETTLE_WITHIN)
    .saturating_add(Duration::from_secs(15));

const DEMO_EMAIL: &str = "demo@localhost";

const EXAMPLE_PHONE: &str = "+84981234567";

/// Reads the configuration as it is written now.
pub type Load = dyn Fn() -> Result<Loaded, ConfigError>;

/// Runs the gateway. Prints where it listens, and a demo account's key where the database was empty.
/// `load` reads the configuration anew, on SIGHUP.
///
/// # Errors
/// What keeps the gateway from starting, in one line with its mend.
pub async fn run(loaded: Loaded, load: &Load, as_json: bool) -> anyhow::Result<()> {
    let telling = telemetry::tell(&loaded.config)?;
    let outcome = serve(loaded, load, as_json).await;
    telling.finish().await;
    outcome
}

async fn serve(loaded: Loaded, load: &Load, as_json: bool) -> anyhow::Result<()> {
    let config = &loaded.config;
    let recorder = telemetry::install_recorder()?;
    let ports = Ports::bind(config)?;
    // Before the database is touched: a demo account's key is shown only once everything runs.
    voice::prompts(config)?;
    let store = open_store(config).await?;
    let demo_key = demo_account(config, &store).await?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let app = App::start(config, ports, store, recorder, None).await?;
    match as_json {
        true => print_json(&app, demo_key.as_ref()),
        false => print_text(config, &app, demo_key.as_ref()),
    }
    systemd::ready();
    let watchdog = actix_web::rt::spawn(systemd::watchdog(app.is_alive()));
    let mut reloads = Reloads { loaded };
    loop {
        tokio::select! {
            _ = terminated.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
            _ = hung_up.recv() => {
                systemd::reloading();
                reloads.reload(&app.reloader, load).await;
                systemd::ready();
            }
        }
    }
    tracing::info!("shutting down: calls in progress are finished first");
    systemd::stopping(LONGEST_SHUTDOWN);
    tokio::select! {
        () = app.shutdown() => {}
        // A second signal does not wait.
        _ = terminated.recv() => tracing::warn!("stopped at once: calls in progress will be settled at the next start"),
        _ = tokio::signal::ctrl_c() => tracing::warn!("stopped at once: calls in progress will be settled at the next start"),
    }
    watchdog.abort();
    Ok(())
}

/// Reloads, one after the other.
struct Reloads {
    /// What was loaded last, whether or not all of it is in force.
    loaded: Loaded,
}

impl Reloads {
    /// Takes over the configuration as it is written now, or says why not.
    async fn reload(&mut self, reloader: &Reloader, load: &Load) {
        let outcome = async {
            let wanted = load()?;
            let reloaded = reloader.reload(&self.loaded, &wanted).await?;
            anyhow::Ok((wanted, reloaded))
        };
        match outcome.await {
            Ok((wanted, reloaded)) => {
                self.loaded = wanted;
                reloader.meters.done();
                tracing::info!(changed = ?reloaded.changed, "the configuration was reloaded");
                if !reloaded.at_next_start.is_empty() {
                    let keys = reloaded.at_next_start;
                    tracing::warn!(?keys, "these settings take effect at the next start");
                }
            }
            Err(error) => {
                reloader.meters.refused();
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "the configuration was not reloaded: the older one stays in force"
                );
            }
        }
    }
}

/// A fresh database gets an account to try things with. Gives its key, to be shown once.
async fn demo_account(config: &Config, store: &Store) -> anyhow::Result<Option<ApiKey>> {
    if !store.accounts().await?.is_empty() {
        return Ok(None);
    }
    let created = store
        .create_account(NewAccount {
            email: DEMO_EMAIL,
            password_hash: None,
            operator: false,
            language: None,
            page_language: None,
            created_at_ms: unix_ms(),
        })
        .await;
    let account_id = match created {
        // Another node has just made it.
        Err(StoreError::Conflict(Conflict::EmailTaken)) => return Ok(None),
        created => created?,
    };
    let free = config
        .billing
        .price_usd
        .checked_mul(i64::from(config.billing.signup_free_otps))
        .unwrap_or(Micros::ZERO);
    if free > Micros::ZERO {
        store
            .credit_wallet(Credit {
                account_id,
                bucket: Bucket::Free,
                amount: free,
                reference: "signup",
                at_ms: unix_ms(),
            })
            .await?;
    }
    create_key(store, account_id, "demo").await.map(Some)
}

/// Makes a live key without an allowlist.
pub(in crate::cli) async fn create_key(
    store: &Store,
    account_id: AccountId,
    name: &str,
) -> anyhow::Result<ApiKey> {
    let mut random = [0; 96];
    rand::rng().fill_bytes(&mut random);
    let key = ApiKey::from_random(KeyMode::Live, &random)?;
    store
        .create_key(NewKey {
            account_id,
            name,
            hash: key.hash(),
            hint: key.hint(),
            test: false,
            allowlist: &[],
            created_at_ms: unix_ms(),
        })
        .await?;
    Ok(key)
}

fn print_json(app: &App, demo_key: Option<&ApiKey>) {
    let sandbox = app.sandbox.as_ref().map(|s| s.local_addr().to_string());
    println!(
        "{}",
        json!({
            "http": format!("http://{}", app.http),
            "metrics": format!("http://{}/metrics", app.metrics),
            "sandbox": sandbox,
            "demo_key": demo_key.map(ApiKey::reveal),
        })
    );
}

fn print_text(config: &Config, app: &App, demo_key: Option<&ApiKey>) {
    println!("NEXO ROUTE {} is ready.", env!("CARGO_PKG_VERSION"));
    println!("  API       http://{}/api/v1", app.http);
    println!("  metrics   http://{}/metrics", app.metrics);
    println!("  database  {}", config.database.masked_url());
    for route in &app.engine.desk.carriers {
        let trunk = route.trunk.now();
        let gateways: Vec<&str> = trunk.gateways.iter().map(|g| g.name.as_str()).collect();
        let by = match gateways.is_empty() {
            true => "no route".to_owned(),
            false => gateways.join(", "),
        };
        println!("  {:<9} {by}", format!("{}", route.trunk.carrier));
    }
    let Some(key) = demo_key else {
        return;
    };
    println!();
    println!("The database was empty: the account {DEMO_EMAIL} was made, with test credit.");
    println!("Its API key is shown this once:");
    println!();
    println!("  export NEXO_KEY={}", key.reveal());
    println!();
    println!("Send your first OTP:");
    println!();
    println!("  curl -X POST http://{}/api/v1/send-otp \\", app.http);
    println!("    -H \"Authorization: Bearer $NEXO_KEY\" \\");
    println!("    -H \"Content-Type: application/json\" \\");
    println!("    -d '{{\"phone\":\"{EXAMPLE_PHONE}\",\"code\":\"482917\"}}'");
}
