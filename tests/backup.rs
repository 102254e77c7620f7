//! A copy of a database that is being written to is a whole one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{Backend, Gateway, phone};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_and_restored_elsewhere_passes_the_audit() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "100.00");
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..8)
        .map(|_| {
            let (customer, stop) = (customer.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut accepted = 0;
                while !stop.load(Ordering::Relaxed) {
                    accepted += u32::from(customer.send(&phone(90), "4829").await.status == 202);
                }
                accepted
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let copy = gateway.dir.path().join("copy.db");
    let made = gateway.nexo(&["backup", copy.to_str().unwrap()]);
    // It goes on all the while.
    let during = gateway.metric("nexo_ledger_debits_total").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(gateway.metric("nexo_ledger_debits_total").await > during);
    stop.store(true, Ordering::Relaxed);
    let mut accepted = 0;
    for load in loads {
        accepted += load.await.unwrap();
    }
    assert_eq!(
        made["bytes"].as_u64().unwrap(),
        copy.metadata().unwrap().len()
    );

    let elsewhere = tempfile::tempdir().unwrap();
    let restored = elsewhere.path().join("nexo.db");
    std::fs::copy(&copy, &restored).unwrap();
    let url = format!("sqlite://{}", restored.display());
    let audit = |when: &str| {
        let (code, said, error) = nexo(&["--json", "audit"], &url);
        assert_eq!(code, Some(0), "{when}: {said}{error}");
        let audit: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(audit["ok"], true, "{when}: {audit:#}");
    };
    audit("as restored");
    // What was in mid-call is settled by the start, and then everything adds up again.
    let second = Gateway::start(Backend::Sqlite, &[("NEXO_DATABASE__URL", &url)]);
    audit("as served");
    let copied = harness::Customer {
        api: format!("{}/api/v1", second.url),
        http: harness::client(),
        ..customer
    };
    let kept = copied.get("deliveries?limit=200").await;
    let kept = kept.json["deliveries"].as_array().unwrap().len();
    assert!(kept > 0 && kept as u32 <= accepted, "{kept} of {accepted}");
    gateway.audit();

    // Nothing is written over.
    let (code, _, error) = nexo(&["backup", copy.to_str().unwrap()], &gateway.database_url());
    assert_eq!(code, Some(1));
    assert!(error.contains("is there already"), "{error}");
    let nowhere = elsewhere.path().join("no/such/dir/copy.db");
    let (code, _, error) = nexo(
        &["backup", nowhere.to_str().unwrap()],
        &gateway.database_url(),
    );
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
}

#[test]
fn for_postgresql_its_own_tools_are_named() {
    let (code, _, error) = nexo(
        &["backup", "copy.sql"],
        "postgres://nexo:s3cret@127.0.0.1:1/nexo",
    );
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
    assert!(
        error.contains("pg_dump") && error.contains("pg_basebackup"),
        "{error}"
    );
    assert!(!error.contains("s3cret"), "{error}");
}

/// Its exit code, and what it said on standard output and standard error.
fn nexo(args: &[&str], database: &str) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_nexo"))
        .args(args)
        .env("NEXO_DATABASE__URL", database)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}
