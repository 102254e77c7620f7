//! A backup that is taken during writes is consistent and complete.

use harness::nexo_binary;
use std::ops::RangeInclusive;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{Backend, Customer, FreshDatabase, Gateway, phone, until};
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::Value;
use tokio::task::JoinHandle;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_and_restored_elsewhere_passes_the_audit() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "1000.00");
    let load = Load::start(&gateway, &customer).await;
    let copy = gateway.dir.path().join("copy.db");
    let before = debits(&gateway).await;
    let backup = gateway.nexo(&["backup", copy.to_str().unwrap()]);
    load.assert_continues(&gateway, before).await;
    load.stop().await;
    let posted = before..=debits(&gateway).await;
    assert_eq!(backup["bytes"].as_u64().unwrap(), copy.metadata().unwrap().len());

    let elsewhere = tempfile::tempdir().unwrap();
    let restored = elsewhere.path().join("nexo.db");
    std::fs::copy(&copy, &restored).unwrap();
    let url = format!("sqlite://{}", restored.display());
    assert_consistent_and_served(&url, &customer, posted).await;
    gateway.audit();

    // An existing file is not overwritten.
    let (code, _, error) = nexo(&["backup", copy.to_str().unwrap()], &gateway.database_url());
    assert_eq!(code, Some(1));
    assert!(error.contains("already exists"), "{error}");
    let nowhere = elsewhere.path().join("no/such/dir/copy.db");
    let (code, _, error) = nexo(&["backup", nowhere.to_str().unwrap()], &gateway.database_url());
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_postgresql_taken_under_load_and_restored_elsewhere_passes_the_audit() {
    let tools = || Some((postgres_tool("pg_dump")?, postgres_tool("pg_restore")?));
    let (true, Some((mut pg_dump, mut pg_restore))) = (Backend::Postgres.is_available(), tools())
    else {
        println!("skipped: no NEXO_TEST_POSTGRES_URL, no pg_dump, or no pg_restore");
        return;
    };
    let gateway = Gateway::start(Backend::Postgres, &[]);
    let customer = gateway.customer("a@example.com", "1000.00");
    let load = Load::start(&gateway, &customer).await;
    // The procedure of docs/OPERATIONS.md.
    let dump = gateway.dir.path().join("nexo.dump");
    let file = std::fs::File::create(&dump).unwrap();
    let before = debits(&gateway).await;
    let dumped = pg_dump.args(["-Fc", &gateway.database_url()]).stdout(file).output().unwrap();
    assert!(dumped.status.success(), "{dumped:?}");
    load.assert_continues(&gateway, before).await;
    load.stop().await;
    let posted = before..=debits(&gateway).await;

    let restored = FreshDatabase::create(Backend::Postgres);
    let output = pg_restore
        .args(["--exit-on-error", "--dbname", &restored.url])
        .arg(&dump)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_consistent_and_served(&restored.url, &customer, posted).await;
    gateway.audit();
}

/// Customers that send OTPs continuously.
struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the load and waits for the first 200 debits.
    async fn start(gateway: &Gateway, customer: &Customer) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let sender = |_| {
            let (customer, stop) = (customer.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    customer.send(&phone(90), "4829").await;
                }
            })
        };
        let load = Load { senders: (0..8).map(sender).collect(), stop };
        load.wait_for_debits(gateway, 200).await;
        load
    }

    /// Asserts that debits were posted during the copy, after the first `before`, and that they continue.
    async fn assert_continues(&self, gateway: &Gateway, before: u64) {
        let after = debits(gateway).await;
        assert!(after > before, "no debit during the copy");
        self.wait_for_debits(gateway, after + 20).await;
    }

    async fn wait_for_debits(&self, gateway: &Gateway, count: u64) {
        let timeout = Duration::from_secs(30);
        until("enough debits", timeout, async || (debits(gateway).await >= count).then_some(()))
            .await;
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for sender in self.senders {
            sender.await.unwrap();
        }
    }
}

async fn debits(gateway: &Gateway) -> u64 {
    gateway.metric("nexo_ledger_debits_total").await as u64
}

/// Asserts that the restored database passes the audit, that it contains the OTPs up to a moment during the copy, and
/// that another gateway can serve it. `posted` is the number of OTPs before and after the copy.
async fn assert_consistent_and_served(url: &str, customer: &Customer, posted: RangeInclusive<u64>) {
    let audit = |when: &str| {
        let (code, stdout, error) = nexo(&["--json", "audit"], url);
        assert_eq!(code, Some(0), "{when}: {stdout}{error}");
        let audit: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(audit["ok"], true, "{when}: {audit:#}");
    };
    audit("after the restore");
    let restored = deliveries(url).await;
    assert!(posted.contains(&restored), "{restored} of {posted:?}");
    // The gateway settles calls that were in progress when it starts.
    let second = Gateway::start(Backend::Sqlite, &[("NEXO_DATABASE__URL", url)]);
    audit("after the start of a gateway");
    let copied = Customer {
        api: format!("{}/api/v1", second.url),
        http: harness::client(),
        ..customer.clone()
    };
    let served = copied.get("deliveries?limit=200").await;
    let served = served.json["deliveries"].as_array().unwrap();
    assert_eq!(served.len(), 200);
}

async fn deliveries(url: &str) -> u64 {
    let database = Database::connect(url).await.unwrap();
    let count =
        Statement::from_string(database.get_database_backend(), "SELECT COUNT(*) FROM deliveries");
    let row = database.query_one_raw(count).await.unwrap().unwrap();
    let count: i64 = row.try_get_by_index(0).unwrap();
    database.close().await.unwrap();
    count.unsigned_abs()
}

/// A PostgreSQL tool: that of the newest installed server, or that on the path.
fn postgres_tool(name: &str) -> Option<Command> {
    let servers = std::fs::read_dir("/usr/lib/postgresql").into_iter();
    let versions = servers.flatten().flatten().map(|version| version.path());
    let newest =
        versions.filter(|version| version.join("bin").join(name).exists()).max_by_key(|version| {
            let number = version.file_name().and_then(|number| number.to_str());
            number.and_then(|number| number.parse::<u32>().ok())
        });
    match newest {
        Some(version) => Some(Command::new(version.join("bin").join(name))),
        None => {
            let on_path = Command::new(name).arg("--version").output();
            on_path.ok().map(|_| Command::new(name))
        }
    }
}

#[test]
fn for_postgresql_the_error_names_its_backup_tools() {
    let (code, _, error) = nexo(&["backup", "copy.sql"], "postgres://nexo:s3cret@127.0.0.1:1/nexo");
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains("pg_dump") && error.contains("pg_basebackup"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

/// Runs a command; returns its exit code, standard output and standard error.
fn nexo(args: &[&str], database: &str) -> (Option<i32>, String, String) {
    let output = Command::new(nexo_binary())
        .args(args)
        .env("NEXO_DATABASE__URL", database)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
