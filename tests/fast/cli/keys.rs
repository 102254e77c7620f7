//! Tests of `nexo key`.

use nexo_domain::account::api_key::{ApiKey, KeyMode};
use serde_json::{Value, json};

use harness::{Backend, per_database};

use super::nexo::Nexo;

fn create<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    [&["key", "create", "--account", "a@example.com", "--name", "shop"], extra].concat()
}

#[per_database]
fn a_key_is_created_listed_and_revoked(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    nexo.account("b@example.com");
    let created = nexo.json(&create(&["--allow", "203.0.113.5", "--allow", "10.1.2.3/8"]));
    assert_eq!(created.as_object().unwrap().len(), 2);
    let key = ApiKey::parse(created["key"].as_str().unwrap()).unwrap();
    assert_eq!(key.mode(), KeyMode::Live);

    let listed = nexo.json(&["key", "list"]);
    let entry = &listed["keys"][0];
    assert_eq!(entry["id"], created["id"]);
    assert_eq!(entry["account"], "a@example.com");
    assert_eq!(entry["hint"], key.hint());
    assert_eq!(entry["allowlist"], json!(["203.0.113.5/32", "10.0.0.0/8"]));
    assert_eq!(entry["revoked_at"], Value::Null);
    assert!(!listed.to_string().contains(key.reveal()));
    let others = nexo.json(&["key", "list", "--account", "b@example.com"]);
    assert_eq!(others, json!({ "keys": [] }));

    let id = created["id"].as_str().unwrap();
    let stdout = nexo.succeed(&["key", "revoke", id]);
    assert!(stdout.starts_with(&format!("Revoked key {id}.")), "{stdout}");
    let again = nexo.succeed(&["key", "revoke", id]);
    assert_eq!(again, format!("Key {id} was already revoked.\n"));
    assert!(nexo.json(&["key", "list"])["keys"][0]["revoked_at"].is_string());
    nexo.with_store(async |store| {
        assert!(store.accounts().key_by_hash(&key.hash()).await.unwrap().unwrap().revoked);
    });
}

#[per_database]
fn a_keys_plaintext_is_shown_once_and_never_stored(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    let stdout = nexo.succeed(&create(&["--test"]));
    let key = stdout
        .split_whitespace()
        .find_map(|word| ApiKey::parse(word).ok())
        .expect("the key is shown");
    assert_eq!(key.mode(), KeyMode::Test);
    assert!(stdout.contains("It is shown only once"), "{stdout}");
    let listed = nexo.succeed(&["key", "list"]);
    assert!(!listed.contains(key.reveal()), "{listed}");
    assert!(listed.contains(&format!("sk_test_…{}", key.hint())), "{listed}");
    nexo.with_store(async |store| {
        let stored = store.accounts().key_by_hash(&key.hash()).await.unwrap().unwrap();
        assert!(stored.test && !stored.revoked);
    });
}

#[per_database]
fn an_eleventh_active_key_is_refused(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    let first = nexo.json(&create(&[]))["id"].as_str().unwrap().to_owned();
    for _ in 1..10 {
        nexo.succeed(&create(&[]));
    }
    assert_eq!(
        nexo.fail(1, &create(&[])),
        "error: an account has at most 10 active keys: revoke one first"
    );
    nexo.succeed(&["key", "revoke", &first]);
    nexo.succeed(&create(&[]));
}

#[per_database]
fn an_unknown_key_is_not_revoked(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    let id = "8f2e1c4d-0000-4000-8000-000000000001";
    assert_eq!(
        nexo.fail(1, &["key", "revoke", id]),
        format!("error: no key {id}; `nexo key list` shows all keys")
    );
}

#[test]
fn a_bad_allowlist_entry_is_named() {
    let nexo = Nexo::without_database();
    let error = nexo.fail(2, &create(&["--allow", "10.0.0.0/8", "--allow", "10.0.0.0/33"]));
    assert!(
        error.contains(
            "\"10.0.0.0/33\" is neither an IP address nor a CIDR range such as 10.0.0.0/8"
        ),
        "{error}"
    );
    let error = nexo.fail(2, &["key", "revoke", "7"]);
    assert!(error.contains("invalid value '7'"), "{error}");
}
