//! Tests of `nexo account`.

use serde_json::Value;

use harness::{Backend, per_database};

use super::nexo::Nexo;

#[per_database]
fn an_account_is_opened_listed_and_closed(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    let created = nexo.json(&["account", "create", "--email", "Ops@Example.com", "--operator"]);
    assert_eq!(created["email"], "ops@example.com");
    assert_eq!(created.as_object().unwrap().len(), 2);
    nexo.account("shop@example.com");

    let listed = nexo.json(&["account", "list"]);
    let accounts = listed["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 2);
    assert_eq!(accounts[0]["id"], created["id"]);
    assert_eq!(accounts[0]["operator"], true);
    assert_eq!(accounts[1]["operator"], false);
    assert_eq!(accounts[0]["closed_at"], Value::Null);

    let stdout = nexo.succeed(&["account", "close", "--account", "OPS@example.com"]);
    assert_eq!(stdout, "Closed account ops@example.com. Its keys no longer work.\n");
    let stdout = nexo.succeed(&["account", "close", "--account", "ops@example.com"]);
    assert_eq!(stdout, "Account ops@example.com was already closed.\n");
    let listed = nexo.json(&["account", "list"]);
    assert!(listed["accounts"][0]["closed_at"].is_string());
    let text = nexo.succeed(&["account", "list"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("EMAIL             STATE"), "{text}");
    assert!(lines[1].starts_with("ops@example.com   closed 2"), "{text}");
    assert!(lines[2].starts_with("shop@example.com  customer"), "{text}");
}

#[per_database]
fn closing_an_account_prints_the_amount_to_pay_out(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    for (bucket, amount) in [("balance", "10.00"), ("bonus", "2"), ("free", "0.11")] {
        nexo.succeed(&[
            "wallet",
            "credit",
            "--account",
            "a@example.com",
            "--bucket",
            bucket,
            "--amount",
            amount,
            "--reference",
            bucket,
        ]);
    }
    let close = ["account", "close", "--account", "a@example.com"];
    let stdout = nexo.succeed(&close);
    assert_eq!(
        stdout,
        "Closed account a@example.com. Its keys no longer work.\n\
             Due for payout: 10.000 USD. Forfeited: 2.110 USD of free and bonus credit. Reference: closing-1.\n"
    );
    let again = nexo.succeed(&[&close[..], &["--json"]].concat());
    assert!(
            again.ends_with(
                "\"closed\":true,\"payout\":0.000,\"forfeited\":0.000,\"reference\":null,\"under_way\":0}\n"
            ),
            "{again}"
        );
    let audit = nexo.json(&["audit"]);
    assert_eq!(audit["ok"], true, "{audit:#}");
}

#[per_database]
fn account_commands_name_the_next_steps(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    let empty = nexo.succeed(&["account", "list"]);
    assert_eq!(empty, "No accounts yet. Create one: nexo account create --email EMAIL\n");
    let stdout = nexo.succeed(&["account", "create", "--email", "a@example.com"]);
    assert!(stdout.contains("nexo key create --account a@example.com"), "{stdout}");
    assert!(stdout.contains("nexo wallet credit --account a@example.com"), "{stdout}");
}

#[per_database]
fn e_mail_addresses_are_unique_regardless_of_case(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    let error = nexo.fail(1, &["account", "create", "--email", "A@Example.com"]);
    assert_eq!(error, "error: account a@example.com already exists");
}

#[per_database]
fn an_unknown_account_is_named(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    for command in [
        &["account", "close", "--account", "no@example.com"][..],
        &["key", "create", "--account", "no@example.com", "--name", "n"],
        &["key", "list", "--account", "no@example.com"],
        &["webhook", "list", "--account", "no@example.com"],
        &["webhook", "add", "--account", "no@example.com", "--url", "https://192.0.2.1/"],
        &[
            "wallet",
            "credit",
            "--account",
            "no@example.com",
            "--bucket",
            "free",
            "--amount",
            "1",
            "--reference",
            "r",
        ],
    ] {
        assert_eq!(
            nexo.fail(1, command),
            "error: no account no@example.com; `nexo account list` shows all accounts"
        );
    }
}

#[per_database]
fn a_closed_account_accepts_no_changes(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    nexo.succeed(&["account", "close", "--account", "a@example.com"]);
    for command in [
        &["key", "create", "--account", "a@example.com", "--name", "n"][..],
        &["webhook", "add", "--account", "a@example.com", "--url", "https://192.0.2.1/"],
        &[
            "wallet",
            "credit",
            "--account",
            "a@example.com",
            "--bucket",
            "free",
            "--amount",
            "1",
            "--reference",
            "r",
        ],
    ] {
        assert_eq!(
            nexo.fail(1, command),
            "error: account a@example.com is closed; create another one"
        );
    }
}

#[per_database]
fn a_password_is_stored_hashed_and_may_come_from_standard_input(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    let create = |email, password| ["account", "create", "--email", email, "--password", password];
    nexo.succeed(&create("a@example.com", "correct horse"));
    let finished = nexo.run_with_input(&create("b@example.com", "-"), "battery staple\n");
    assert_eq!(finished.code, 0, "{finished:?}");
    nexo.with_store(async |store| {
        for email in ["a@example.com", "b@example.com"] {
            let account = store.accounts().by_email(email).await.unwrap().unwrap();
            let hash = account.password_hash.unwrap();
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        }
    });
    let error = nexo.fail(1, &create("c@example.com", "123456789"));
    assert_eq!(error, "error: a password has at least 10 characters");
    let finished = nexo.run_with_input(&create("c@example.com", "-"), "123456789\n");
    assert_eq!((finished.code, finished.error()), (1, error));
}

#[test]
fn guessable_passwords_are_refused_on_the_command_line() {
    let nexo = Nexo::migrated(Backend::Sqlite);
    for (password, reason) in [
        ("password123", "one of the most common passwords"),
        ("QwertyUiop", "one of the most common passwords"),
        ("nexoroute2026", "more than the name of the product"),
        ("vietfone2026", "more than the name of the product"),
    ] {
        let create =
            ["account", "create", "--email", "lan.nguyen@vietfone.vn", "--password", password];
        let error = nexo.fail(1, &create);
        assert!(error.contains(reason), "{password}: {error}");
        assert!(!error.contains(password), "{error}");
        let create = ["account", "create", "--email", "lan.nguyen@vietfone.vn", "--password", "-"];
        let finished = nexo.run_with_input(&create, &format!("{password}\n"));
        assert_eq!(finished.code, 1, "{finished:?}");
    }
    nexo.succeed(&[
        "account",
        "create",
        "--email",
        "lan.nguyen@vietfone.vn",
        "--password",
        "correct horse",
    ]);
}

#[test]
fn an_invalid_e_mail_address_is_bad_usage() {
    let nexo = Nexo::without_database();
    let error = nexo.fail(2, &["account", "create", "--email", "ops"]);
    assert!(error.contains("not an e-mail address such as ops@example.com"), "{error}");
    let error = nexo.fail(2, &["account", "create"]);
    assert!(error.contains("--email"), "{error}");
}
