//! `nexo serve`: runs the gateway until SIGTERM or SIGINT, and reloads the configuration on SIGHUP.

use std::time::Duration;

use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::{ApiKey, KeyMode};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_entities::store::accounts::NewAccount;
use nexo_entities::store::accounts::api_keys::NewKey;
use nexo_entities::store::accounts::sign_up::{SignUp, SignUpOffer};
use nexo_entities::store::{Conflict, Store, StoreError};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::reload::Reloader;
use crate::app::shutdown::{DRAIN_TIMEOUT, SETTLE_TIMEOUT};
use crate::app::systemd;
use crate::app::{App, Ports, open_store};
use crate::config::{Config, ConfigError, Loaded};
use crate::secrets::new_api_key;
use crate::{process, telemetry, voice};

/// The longest shutdown, including time to close the database.
const MAX_SHUTDOWN: Duration =
    DRAIN_TIMEOUT.saturating_add(SETTLE_TIMEOUT).saturating_add(Duration::from_secs(15));

const STOPPED: &str = "stopped immediately; the next start settles the calls in progress";

const DEMO_EMAIL: &str = "demo@localhost";

/// The example of the first request. With a test key no phone rings.
const EXAMPLE_PHONE: &str = "+84981234567";

/// What the first start of a gateway tells its operator.
struct FirstRun {
    /// The keys of the demo account, if one was created.
    demo_keys: Option<DemoKeys>,
    has_operator: bool,
}

/// The keys of the demo account, shown once.
struct DemoKeys {
    live: ApiKey,
    test: ApiKey,
}

/// Reads the current configuration.
pub type Load = dyn Fn() -> Result<Loaded, ConfigError>;

/// Runs the gateway. Prints its addresses and, if the database was empty, the key of a demo account. `load` reads
/// the configuration again on SIGHUP.
///
/// # Errors
/// If the gateway cannot start; one line that names the remedy.
pub async fn run(loaded: Loaded, load: &Load, as_json: bool) -> anyhow::Result<()> {
    let telemetry = telemetry::start(&loaded.config)?;
    let result = serve(loaded, load, as_json).await;
    telemetry.finish().await;
    result
}

async fn serve(loaded: Loaded, load: &Load, as_json: bool) -> anyhow::Result<()> {
    let config = &loaded.config;
    process::warn_of_few_files();
    for warning in process::readable_secrets(&loaded) {
        tracing::warn!("{warning}");
    }
    let recorder = telemetry::install_recorder()?;
    let ports = Ports::bind(config)?;
    // Checked before the database changes, because the demo account's key is shown only after a successful start.
    voice::prompts(config)?;
    let (store, serving) = open_store(config).await?;
    let first_run = FirstRun {
        demo_keys: demo_account(config, &store).await?,
        has_operator: store.accounts().has_operator().await?,
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let app = App::start(config, ports, (store, serving), recorder, None).await?;
    match as_json {
        true => print_json(config, &app, &first_run),
        false => print_text(config, &app, &first_run),
    }
    // After the start: an error of the start is one line.
    log_warnings(config);
    if app.engine.dispatcher.serves_live_keys_by_sandbox() {
        tracing::warn!(
            "no carrier has a gateway: the built-in sandbox answers live keys, and no phone rings"
        );
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
    tracing::info!("shutting down after the calls in progress");
    systemd::stopping(MAX_SHUTDOWN);
    tokio::select! {
        () = app.shutdown() => {}
        // A second signal does not wait.
        _ = terminated.recv() => tracing::warn!("{STOPPED}"),
        _ = tokio::signal::ctrl_c() => tracing::warn!("{STOPPED}"),
    }
    watchdog.abort();
    Ok(())
}

/// Logs the settings that are valid but unsafe.
fn log_warnings(config: &Config) {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
}

/// Applies reloads one after the other.
struct Reloads {
    /// The configuration loaded last, including settings that take effect at the next start.
    loaded: Loaded,
}

impl Reloads {
    /// Applies the current configuration, or logs why it cannot.
    async fn reload(&mut self, reloader: &Reloader, load: &Load) {
        let result = async {
            let new = load()?;
            let reloaded = reloader.reload(&self.loaded, &new).await?;
            anyhow::Ok((new, reloaded))
        };
        match result.await {
            Ok((new, reloaded)) => {
                self.loaded = new;
                reloader.meters.done();
                log_warnings(&self.loaded.config);
                tracing::info!(changed = ?reloaded.changed, "configuration reloaded");
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
                    "configuration not reloaded; the previous one stays in effect"
                );
            }
        }
    }
}

/// Creates a demo account with free credit if the database has no accounts and no carrier has a gateway. Returns its
/// keys, which are shown once.
async fn demo_account(config: &Config, store: &Store) -> anyhow::Result<Option<DemoKeys>> {
    if config.has_gateways() || !store.accounts().all().await?.is_empty() {
        return Ok(None);
    }
    let free = config
        .billing
        .price_usd
        .checked_mul(i64::from(config.billing.signup_free_otps))
        .unwrap_or(Micros::ZERO);
    let account_id = match create_account(store, free).await {
        // Another node has just created it.
        Err(StoreError::Conflict(Conflict::EmailTaken)) => return Ok(None),
        created => created?,
    };
    let live = create_key(store, account_id, "demo", KeyMode::Live).await?;
    let test = create_key(store, account_id, "demo, test", KeyMode::Test).await?;
    Ok(Some(DemoKeys { live, test }))
}

/// Creates the demo account without password, with `free` as free credit. It is a sign-up, so its mailbox receives
/// free credit once.
pub async fn create_account(store: &Store, free: Micros) -> Result<AccountId, StoreError> {
    let account = NewAccount {
        email: DEMO_EMAIL,
        password_hash: None,
        operator: false,
        language: None,
        page_language: None,
        created_at_ms: unix_ms(),
    };
    let sign_up = SignUp { account, landing: None, offer: SignUpOffer::unlimited(free) };
    Ok(store.accounts().sign_up(sign_up).await?.id)
}

/// Creates a key without an allowlist.
pub async fn create_key(
    store: &Store,
    account_id: AccountId,
    name: &str,
    mode: KeyMode,
) -> anyhow::Result<ApiKey> {
    let key = new_api_key(mode)?;
    store
        .accounts()
        .create_key(NewKey {
            account_id,
            name,
            hash: key.hash(),
            hint: key.hint(),
            test: mode == KeyMode::Test,
            allowlist: &[],
            created_at_ms: unix_ms(),
        })
        .await?;
    Ok(key)
}

fn print_json(config: &Config, app: &App, first_run: &FirstRun) {
    let sandbox = app.sandbox.as_ref().map(|s| s.local_addr().to_string());
    let keys = first_run.demo_keys.as_ref();
    println!(
        "{}",
        json!({
            "http": format!("http://{}", app.http),
            "site": config.server.site_url(app.http),
            "metrics": format!("http://{}/metrics", app.metrics),
            "sandbox": sandbox,
            "carriers_without_route": config.carriers_without_route(),
            "has_operator": first_run.has_operator,
            "demo_key": keys.map(|keys| keys.live.reveal()),
            "demo_test_key": keys.map(|keys| keys.test.reveal()),
        })
    );
}

fn print_text(config: &Config, app: &App, first_run: &FirstRun) {
    let site = config.server.site_url(app.http);
    println!("NEXO ROUTE {} is ready.", env!("CARGO_PKG_VERSION"));
    println!("  site          {site}");
    println!("  API           http://{}/api/v1", app.http);
    println!("  metrics       http://{}/metrics", app.metrics);
    println!("  database      {}", config.database.masked_url());
    for route in &app.engine.dispatcher.carriers {
        let trunk = route.trunk.current();
        let gateways: Vec<&str> = trunk.gateways.iter().map(|g| g.name.as_str()).collect();
        let names = match gateways.is_empty() {
            true => "no route".to_owned(),
            false => gateways.join(", "),
        };
        println!("  {:<13} {names}", route.trunk.carrier.name());
    }
    if !first_run.has_operator {
        println!();
        println!("No operator exists. Create one, and sign in at {site}/auth/sign-in:");
        println!();
        println!("  nexo account create --email you@example.com --password - --operator");
    }
    if let Some(keys) = &first_run.demo_keys {
        print_demo(app, keys);
    }
}

fn print_demo(app: &App, keys: &DemoKeys) {
    println!();
    println!("The database was empty. Created the account {DEMO_EMAIL} with free credit.");
    println!("Its API keys are shown only once. With the test key no phone ever rings:");
    println!();
    println!("  export NEXO_KEY={}", keys.test.reveal());
    println!();
    println!("The live key is charged, and rings phones once a carrier has a gateway:");
    println!();
    println!("  {}", keys.live.reveal());
    println!();
    println!("Send your first OTP with the test key:");
    println!();
    println!("  curl -X POST http://{}/api/v1/send-otp \\", app.http);
    println!("    -H \"Authorization: Bearer $NEXO_KEY\" \\");
    println!("    -H \"Content-Type: application/json\" \\");
    println!("    -d '{{\"phone\":\"{EXAMPLE_PHONE}\",\"code\":\"482917\"}}'");
}
