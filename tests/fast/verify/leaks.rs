//! Codes that the gateway makes are in no file, no log and no answer. `NEXO_VERIFY_CODES=10000` runs the long form.

use std::path::Path;
use std::process::Command;

use futures_util::future::join_all;
use harness::{Backend, answer, client, per_database};
use serde_json::json;

use super::{check, code, gateway, start};
use crate::operations::leaks::search::{Artifacts, leaks};

/// The number of codes in a run of all tests.
const CODES: usize = 50;
/// The number of concurrent customers.
const CUSTOMERS: usize = 16;

#[per_database]
async fn no_code_of_a_verification_is_logged_stored_or_answered(backend: Backend) {
    let codes = std::env::var("NEXO_VERIFY_CODES");
    let count: usize = codes.map_or(CODES, |codes| codes.parse().unwrap());
    let settings =
        [("RUST_LOG", "debug"), ("RUST_BACKTRACE", "1"), ("NEXO_VERIFY__SECRET", super::ONE)];
    let mut gateway = gateway(backend, &settings);
    let customer = gateway.customer("a@example.com", "1000.00");
    let mut artifacts = Artifacts::default();
    let (mut codes, mut output) = (Vec::new(), String::new());
    let numbers: Vec<String> = (0..count)
        .map(|n| format!("+8498{n:05}{}", if n % 20 == 0 { "11" } else { "90" }))
        .collect();
    for batch in numbers.chunks(CUSTOMERS) {
        let one = async |number: &String| {
            let started = start(&customer, &json!({ "phone": number, "length": 8 })).await;
            assert_eq!(started.status, 202, "{}", started.text);
            let id = started.json["id"].as_str().unwrap().to_owned();
            let wrong = check(&customer, &id, &super::wrong_code(&id, 8)).await;
            let right = check(&customer, &id, &code(&id, 8)).await;
            assert_eq!(right.json["valid"], true, "{}", right.text);
            (code(&id, 8), format!("{}\n{}\n{}\n", started.text, wrong.text, right.text))
        };
        for (code, text) in join_all(batch.iter().map(one)).await {
            codes.push(code);
            output.push_str(&text);
        }
    }
    // Others may be part of a longer number by chance: the search expects codes that begin with a zero.
    // As bytes, several zeros after small numbers occur in every file of a database.
    codes.retain(|code| code.starts_with('0') && code.matches('0').count() <= 2);
    assert!(count < 1_000 || !codes.is_empty());
    artifacts.text("the HTTP responses", output);
    let list = customer.get("verifications?limit=200").await;
    artifacts.text("a list", list.text);
    artifacts.text("metrics", answer(client().get(&gateway.metrics)).await.text);
    let database = gateway.database_url();
    if backend == Backend::Sqlite {
        let folder = Path::new(database.strip_prefix("sqlite://").unwrap()).parent().unwrap();
        let backup = folder.join("backup.db");
        gateway.nexo(&["backup", backup.to_str().unwrap()]);
    }
    // Killed, so that SQLite's write-ahead log still exists.
    gateway.kill();
    artifacts.text("the log", gateway.log());
    match backend {
        Backend::Sqlite => artifacts.files_beside(&database),
        Backend::Postgres => {
            let dump = Command::new("pg_dump").arg(&database).output().unwrap();
            assert!(dump.status.success(), "{dump:?}");
            artifacts.text("the dump", String::from_utf8(dump.stdout).unwrap());
        }
    }
    assert!(artifacts.contains("+8498"), "no phone was found in the database");
    assert!(artifacts.contains("approved"), "no approval was found in the database");
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    println!(
        "{backend:?}: {count} codes, {} of them searched in {} bytes",
        codes.len(),
        artifacts.size()
    );
    let found = leaks(&artifacts, &codes);
    assert!(found.is_empty(), "{found:#?}");
}
