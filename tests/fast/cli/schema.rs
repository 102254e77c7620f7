//! Tests of `nexo migrate`, `nexo audit`, and of the errors for a database that is missing, empty or unreachable.

use harness::{Backend, per_database};

use super::nexo::Nexo;

#[per_database]
fn migrations_go_up_and_down_and_are_listed(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    let status = nexo.json(&["migrate", "status"]);
    let steps = status["migrations"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["applied"] == true), "{status}");
    let stdout = nexo.succeed(&["migrate", "up"]);
    assert!(stdout.contains("is up to date"), "{stdout}");

    let last = steps.last().unwrap()["name"].as_str().unwrap();
    let down = nexo.json(&["migrate", "down"]);
    assert_eq!(down["reverted"], serde_json::json!([last]));
    let text = nexo.succeed(&["migrate", "status"]);
    assert!(text.contains("missing"), "{text}");
    assert!(text.contains("nexo migrate up"), "{text}");
    let error = nexo.fail(1, &["account", "list"]);
    assert!(error.contains("lacks 1 migrations: run nexo migrate up"), "{error}");

    let up = nexo.json(&["migrate", "up"]);
    assert_eq!(up["applied"], serde_json::json!([last]));
    nexo.succeed(&["account", "list"]);
}

#[per_database]
fn all_migrations_can_be_reverted_and_applied_again(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    let steps = nexo.json(&["migrate", "status"])["migrations"].as_array().unwrap().len();
    let stdout = nexo.succeed(&["migrate", "down", "--steps", &steps.to_string()]);
    assert!(stdout.contains("without the data"), "{stdout}");
    nexo.succeed(&["migrate", "up"]);
    let listed = nexo.json(&["account", "list"]);
    assert_eq!(listed, serde_json::json!({ "accounts": [] }));
}

#[per_database]
fn a_database_of_a_development_version_is_refused_and_left_unchanged(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    {
        nexo.write(
            "nexo.toml",
            "server.listen = '127.0.0.1:0'\nmetrics.listen = '127.0.0.1:0'\nsip.listen_udp = '127.0.0.1:0'\n",
        );
        nexo.with_store(async |store| {
            use sea_orm::ConnectionTrait;
            let rename = "UPDATE seaql_migrations SET version = 'm0001_accounts' \
                          WHERE version = 'm0001_cluster'";
            store.connection().execute_unprepared(rename).await.unwrap();
        });
        for command in [
            &["serve"][..],
            &["config", "check"],
            &["migrate", "up"],
            &["migrate", "down"],
            &["migrate", "status"],
            &["account", "list"],
        ] {
            let error = nexo.fail(1, command);
            assert!(
                error.ends_with(
                    ": the database has the migration m0001_accounts, which this version does not know: it was \
                     created by a newer version or by a development version; update nexo, or set database.url \
                     to another database"
                ),
                "{error}"
            );
        }
        nexo.with_store(async |store| {
            use sea_orm::ConnectionTrait;
            let rename = "UPDATE seaql_migrations SET version = 'm0001_cluster' \
                          WHERE version = 'm0001_accounts'";
            store.connection().execute_unprepared(rename).await.unwrap();
        });
        assert!(nexo.succeed(&["migrate", "up"]).contains("is up to date"));
    }
}

#[test]
fn the_error_for_a_missing_database_names_the_remedy() {
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
            "error: database data/nexo.db does not exist: run `nexo migrate up`, or start `nexo serve`"
        );
    }
    assert!(!nexo.dir().join("data").exists());
}

#[test]
fn the_error_for_a_missing_or_empty_postgresql_database_names_the_remedy() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let mut nexo = Nexo::empty(Backend::Postgres);
    let error = nexo.fail(1, &["account", "list"]);
    assert!(error.contains("run nexo migrate up"), "{error}");
    let url = format!("{}_gone", nexo.database_url());
    nexo.set("NEXO_DATABASE__URL", &url);
    let error = nexo.fail(1, &["migrate", "up"]);
    assert!(error.contains("create it with createdb"), "{error}");
}

#[test]
fn a_directory_without_write_permission_is_reported_in_one_line() {
    let mut nexo = Nexo::without_database();
    // A file in place of the directory also stops root.
    nexo.write("data", "");
    assert_eq!(
        nexo.fail(1, &["migrate", "up"]),
        "error: cannot create the directory data: File exists (os error 17); make the directory \
         above it writable for this user, or set database.url to another database"
    );
    nexo.set("NEXO_DATABASE__URL", "sqlite:///proc/nexo.db");
    let error = nexo.fail(1, &["migrate", "up"]);
    assert_eq!(
        error,
        "error: cannot write to /proc: make it writable for this user, or give another file"
    );
}

#[test]
fn a_server_that_does_not_answer_is_reported() {
    let mut nexo = Nexo::without_database();
    // A port that was free a moment ago refuses connections.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = format!("postgres://nexo:s3cret@127.0.0.1:{port}/nexo");
    nexo.set("NEXO_DATABASE__URL", &url);
    let error = nexo.fail(1, &["migrate", "up"]);
    let start = format!("error: the database server at 127.0.0.1:{port} does not answer: ");
    assert!(error.starts_with(&start), "{error}");
    assert!(error.ends_with("; start it, or set database.url to another database"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn a_file_that_is_not_a_database_is_reported_in_one_line() {
    let nexo = Nexo::without_database();
    std::fs::create_dir(nexo.dir().join("data")).unwrap();
    nexo.write("data/nexo.db", &"This is not a database. ".repeat(100));
    assert_eq!(
        nexo.fail(1, &["account", "list"]),
        "error: data/nexo.db is not an SQLite database: move it away, or set database.url to another database"
    );
}

#[per_database]
fn the_audit_detects_a_forged_balance(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
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
    let finished = nexo.run(&["audit", "--json"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    let found: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(found["ok"], false);
    assert!(finished.error().contains("broken: "), "{finished:?}");
    let finished = nexo.run(&["audit"]);
    assert!(finished.code == 1 && finished.stdout.contains("BROKEN"), "{finished:?}");
}
