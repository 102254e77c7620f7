//! The gateway in a process of its own, whose actors panic when it is told so.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};

use nexo_actors::clock::unix_ms;
use nexo_actors::supervision::supervisor::Supervise;
use nexo_domain::account::api_key::{ApiKey, KeyMode};
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_domain::webhook::HashedSecret;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::accounts::NewAccount;
use nexo_entities::store::accounts::api_keys::NewKey;
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::webhooks::endpoints::NewEndpoint;
use nexo_route::app::{App, Ports, open_store};
use nexo_route::config::Config;
use nexo_route::telemetry;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Tells the process that it is the gateway, and where it sends webhooks.
const HOOK: &str = "NEXO_TEST_HOOK";
const READY: &str = "ready: ";

pub struct Child {
    pub url: String,
    pub metrics: String,
    pub key: String,
    process: std::process::Child,
    stdin: ChildStdin,
    log: PathBuf,
    _dir: TempDir,
}

impl Child {
    pub fn start(database: &str, hook: &str) -> Child {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "child::gateway"])
            .current_dir(dir.path())
            .envs([
                ("NEXO_SERVER__LISTEN", "127.0.0.1:0"),
                ("NEXO_METRICS__LISTEN", "127.0.0.1:0"),
                ("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0"),
                ("NEXO_SIP__RTP_PORTS", "0-0"),
                ("NEXO_CALLS__REPEAT", "1"),
                ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
                ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
                ("NEXO_DATABASE__URL", database),
                ("RUST_LOG", "debug"),
                ("RUST_BACKTRACE", "1"),
                (HOOK, hook),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let ready = loop {
            let mut line = String::new();
            let length = stdout.read_line(&mut line).unwrap();
            assert!(length > 0, "{}", std::fs::read_to_string(&log).unwrap());
            if let Some((_, ready)) = line.split_once(READY) {
                break serde_json::from_str::<Value>(ready).unwrap();
            }
        };
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        Child {
            url: text("http"),
            metrics: text("metrics"),
            key: text("key"),
            process,
            stdin,
            log,
            _dir: dir,
        }
    }

    /// Makes every actor panic.
    pub fn panic(&mut self) {
        writeln!(self.stdin, "panic").unwrap();
    }

    /// Kills it; all that it has logged.
    pub fn kill(&mut self) -> String {
        self.end();
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// What [`Child::start`] runs.
#[test]
#[ignore = "the gateway of the other tests of this file, which start it"]
fn gateway() {
    let hook = std::env::var(HOOK).expect("started by the other tests of this file only");
    telemetry::log_to_stderr();
    actix_web::rt::System::new().block_on(serve(&hook));
}

async fn serve(hook: &str) {
    let config = Config::load(None, std::env::vars()).unwrap().config;
    let recorder = telemetry::install_recorder().unwrap();
    let ports = Ports::bind(&config).unwrap();
    let store = open_store(&config).await.unwrap();
    let key = customer(&store, hook).await;
    let app = App::start(&config, ports, store, recorder, None)
        .await
        .unwrap();
    let ready = json!({
        "http": format!("http://{}", app.http),
        "metrics": format!("http://{}/metrics", app.metrics),
        "key": key.reveal(),
    });
    println!("{READY}{ready}");
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    while told.recv().await.is_some() {
        let desk = &app.engine.desk;
        for route in &desk.carriers {
            let _ = route.desk.try_send(Supervise::Panic);
        }
        for wallet in desk.wallets.all() {
            let _ = wallet.try_send(Supervise::Panic);
        }
        let _ = app.engine.webhooks.try_send(Supervise::Panic);
    }
}

async fn customer(store: &Store, hook: &str) -> ApiKey {
    let now_ms = unix_ms();
    let account = NewAccount {
        email: "a@example.com",
        password_hash: None,
        operator: false,
        language: None,
        page_language: None,
        created_at_ms: now_ms,
    };
    let account_id = store.create_account(account).await.unwrap();
    let credit = Credit {
        account_id,
        bucket: Bucket::Balance,
        amount: Micros::new(1_000_000_000),
        reference: "start",
        at_ms: now_ms,
    };
    store.credit_wallet(credit).await.unwrap();
    let endpoint = NewEndpoint {
        account_id,
        url: hook,
        secret: HashedSecret::of("whsec_test"),
        created_at_ms: now_ms,
    };
    store.add_endpoint(endpoint).await.unwrap();
    let random: Vec<u8> = (0..96).collect();
    let key = ApiKey::from_random(KeyMode::Live, &random).unwrap();
    let new = NewKey {
        account_id,
        name: "test",
        hash: key.hash(),
        hint: key.hint(),
        test: false,
        allowlist: &[],
        created_at_ms: now_ms,
    };
    store.create_key(new).await.unwrap();
    key
}
