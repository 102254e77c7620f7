//! `nexo migrate`, `nexo audit`, and what commands say of a database that is not ready.

use crate::nexo::{Nexo, on_each_database};

#[test]
fn migrations_go_up_and_down_and_are_listed() {
    on_each_database(|nexo| {
        let status = nexo.json(&["migrate", "status"]);
        let steps = status["migrations"].as_array().unwrap();
        assert!(steps.iter().all(|step| step["applied"] == true), "{status}");
        let said = nexo.succeed(&["migrate", "up"]);
        assert!(said.contains("has the current schema"), "{said}");

        let last = steps.last().unwrap()["name"].as_str().unwrap();
        let down = nexo.json(&["migrate", "down"]);
        assert_eq!(down["reverted"], serde_json::json!([last]));
        let text = nexo.succeed(&["migrate", "status"]);
        assert!(text.contains("missing"), "{text}");
        assert!(text.contains("nexo migrate up"), "{text}");
        let error = nexo.fail(1, &["account", "list"]);
        assert!(
            error.contains("lacks 1 migrations: run nexo migrate up"),
            "{error}"
        );

        let up = nexo.json(&["migrate", "up"]);
        assert_eq!(up["applied"], serde_json::json!([last]));
        nexo.succeed(&["account", "list"]);
    });
}

#[test]
fn everything_can_be_taken_back_and_applied_again() {
    on_each_database(|nexo| {
        nexo.account("a@example.com");
        let steps = nexo.json(&["migrate", "status"])["migrations"]
            .as_array()
            .unwrap()
            .len();
        let said = nexo.succeed(&["migrate", "down", "--steps", &steps.to_string()]);
        assert!(said.contains("without the data"), "{said}");
        nexo.succeed(&["migrate", "up"]);
        let listed = nexo.json(&["account", "list"]);
        assert_eq!(listed, serde_json::json!({ "accounts": [] }));
    });
}

#[test]
fn a_missing_database_is_said_with_the_mend() {
    let nexo = Nexo::without_database();
    for command in [
        &["account", "list"][..],
        &["key", "list"],
        &["webhook", "list"],
        &["audit"],
        &["migrate", "status"],
        &["migrate", "down"],
    ] {
        assert_eq!(
            nexo.fail(1, command),
            "error: there is no database data/nexo.db: run `nexo migrate up`, or start `nexo serve`"
        );
    }
    assert!(!nexo.dir().join("data").exists());
}

#[test]
fn a_postgresql_database_that_is_missing_or_empty_is_said_with_the_mend() {
    let Some(mut nexo) = Nexo::with_postgres() else {
        return;
    };
    let error = nexo.fail(1, &["account", "list"]);
    assert!(error.contains("run nexo migrate up"), "{error}");
    let url = format!("{}_gone", nexo.database_url());
    nexo.set("NEXO_DATABASE__URL", &url);
    let error = nexo.fail(1, &["migrate", "up"]);
    assert!(error.contains("create it with createdb"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_written_is_said_in_one_line() {
    let mut nexo = Nexo::without_database();
    // A file where the directory should be stops root, too.
    nexo.write("data", "");
    let error = nexo.fail(1, &["migrate", "up"]);
    assert!(error.contains("data"), "{error}");
    nexo.set("NEXO_DATABASE__URL", "sqlite:///proc/nexo/nexo.db");
    let error = nexo.fail(1, &["migrate", "up"]);
    assert!(
        error.contains("cannot create the directory /proc/nexo"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_database_is_said_in_one_line() {
    let nexo = Nexo::without_database();
    std::fs::create_dir(nexo.dir().join("data")).unwrap();
    nexo.write("data/nexo.db", &"This is a letter. ".repeat(100));
    let error = nexo.fail(1, &["account", "list"]);
    assert!(
        error.contains("data/nexo.db is no SQLite database"),
        "{error}"
    );
}

#[test]
fn the_audit_finds_money_from_nowhere() {
    on_each_database(|nexo| {
        nexo.account("a@example.com");
        let sound = nexo.json(&["audit"]);
        assert_eq!(sound["ok"], true);
        assert!(sound["checks"].as_array().unwrap().len() > 3);
        assert!(nexo.succeed(&["audit"]).contains("ok  "));
        nexo.with_store(async |store| {
            use sea_orm::ConnectionTrait;
            let forged = "UPDATE wallets SET balance_micros = 1000000";
            store.connection().execute_unprepared(forged).await.unwrap();
        });
        let ran = nexo.run(&["audit", "--json"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(found["ok"], false);
        assert!(ran.error().contains("broken: "), "{ran:?}");
        let ran = nexo.run(&["audit"]);
        assert!(ran.code == 1 && ran.stdout.contains("BROKEN"), "{ran:?}");
    });
}
