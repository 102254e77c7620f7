//! Creating, listing and removing integrations, and what happens to them with their account.

use std::time::{Duration, Instant};

use harness::{Backend, Gateway, answer, per_database, phone, until};
use sea_orm::{ConnectionTrait, Database, Statement};

use super::*;

const EMAIL: &str = "a@example.com";

#[per_database]
async fn commands_take_effect_on_the_running_gateway_within_a_second(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer(EMAIL, "1.00");
    assert_eq!(gateway.nexo(&["integration", "list"])["integrations"], json!([]));
    let server = AuthServer::create(&gateway, EMAIL, "logto");
    assert!(server.secret.starts_with("hook_"), "{}", server.secret);
    assert_rang(&server.send(&phone(90), "482917").await);
    let listed = until("the use is written", Duration::from_secs(10), async || {
        let listed = gateway.nexo(&["integration", "list", "--account", EMAIL]);
        listed["integrations"][0]["last_used_at"].is_string().then_some(listed)
    })
    .await;
    let one = &listed["integrations"][0];
    assert_eq!(one["id"], server.id.as_str());
    assert_eq!(
        (&one["kind"], &one["name"], &one["account"]),
        (&json!("logto"), &json!("login"), &json!(EMAIL))
    );
    assert!(!listed.to_string().contains(&server.secret));
    let removed = gateway.nexo(&["integration", "remove", &server.id]);
    assert_eq!(removed, json!({ "id": server.id, "removed": true }));
    let since = Instant::now();
    let gone = until("the removal is noticed", Duration::from_secs(2), async || {
        let gone = server.send(&phone(90), "482917").await;
        (gone.status == 404).then_some(gone)
    })
    .await;
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(gone.error(), "not_found");
    assert_eq!(gateway.nexo(&["integration", "list"])["integrations"], json!([]));
    gateway.fail(&[], &["integration", "remove", &server.id]);
    // Its OTP stays the account's.
    let deliveries = customer.get("deliveries").await;
    assert!(!deliveries.json["deliveries"].as_array().unwrap().is_empty());
}

#[per_database]
async fn an_unknown_id_another_kinds_path_and_a_malformed_one_are_404(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "logto");
    let hooks = format!("{}/api/v1/hooks", gateway.url);
    for path in [
        "logto/0190a000-0000-7000-8000-000000000000".to_owned(),
        "logto/nonsense".to_owned(),
        format!("auth0/{}", server.id),
        format!("supabase/{}", server.id),
        format!("nothing/{}", server.id),
        format!("Logto/{}", server.id),
    ] {
        let moved = AuthServer { url: format!("{hooks}/{path}"), ..server.clone() };
        let gone = moved.send(&phone(67), "482917").await;
        assert_eq!((gone.status, gone.error()), (404, "not_found"), "{path}");
        assert_eq!(gone.header("retry-after"), None);
    }
}

#[per_database]
async fn a_given_secret_is_used_and_wrong_arguments_are_refused(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    gateway.customer(EMAIL, "1.00");
    let create = ["integration", "create", "--account", EMAIL, "--name", "n", "--kind"];
    let with = |more: &[&str]| {
        [&create[..], more].concat().iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()
    };
    let given = [
        ("supabase", "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("zitadel", "the-key-that-zitadel-made"),
        ("logto", "my-own-secret"),
    ];
    for (kind, secret) in given {
        let args = with(&[kind, "--secret", secret]);
        let created = gateway.nexo(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(created["secret"], secret);
        let id = created["id"].as_str().unwrap().to_owned();
        let url = format!("{}/api/v1/hooks/{kind}/{id}", gateway.url);
        let server =
            AuthServer { kind: kind.into(), id, url, secret: secret.into(), http: client() };
        assert_rang(&server.send(&phone(90), "482917").await);
    }
    for (more, error) in [
        (&["supabase", "--secret", "my-own-secret"][..], "v1,whsec_"),
        (&["logto", "--secret", "short"], "8 to 256"),
        (&["logto", "--phone-pointer", "/a", "--code-pointer", "/b"], "custom only"),
        (&["custom"], "--phone-pointer"),
        (&["custom", "--phone-pointer", "/a"], "--code-pointer"),
        (&["custom", "--phone-pointer", "a", "--code-pointer", "/b"], "JSON pointer"),
        (&["facebook"], "supabase"),
    ] {
        let args = with(more);
        let told = gateway.fail(&[], &args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(told.contains(error), "{more:?}: {told}");
        assert!(!told.contains("my-own-secret"), "{told}");
    }
}

#[per_database]
async fn an_account_has_at_most_20_and_sees_only_its_own(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let one = gateway.customer(EMAIL, "1.00");
    let two = gateway.customer("b@example.com", "1.00");
    for _ in 0..20 {
        AuthServer::create(&gateway, EMAIL, "logto");
    }
    let args = ["integration", "create", "--account", EMAIL, "--kind", "logto", "--name", "n"];
    assert!(gateway.fail(&[], &args).contains("at most 20"));
    let server = AuthServer::create(&gateway, "b@example.com", "logto");
    assert_rang(&server.send(&phone(90), "482917").await);
    assert_eq!((one.balance().await.0, two.balance().await.0), ("1.000".into(), "0.978".into()));
    assert_eq!(one.get("deliveries").await.json["deliveries"], json!([]));
    let listed = gateway.nexo(&["integration", "list", "--account", "b@example.com"]);
    assert_eq!(listed["integrations"].as_array().unwrap().len(), 1);
}

#[per_database]
async fn a_suspended_account_is_refused_and_a_closed_one_has_none(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    gateway.customer(EMAIL, "1.00");
    let servers = ["logto", "supabase"].map(|kind| AuthServer::create(&gateway, EMAIL, kind));
    for server in &servers {
        assert_rang(&server.send(&phone(90), "482917").await);
    }
    let args = ["account", "suspend", "--account", EMAIL, "--reason", "a test"];
    gateway.nexo(&args);
    for server in &servers {
        until("the suspension is noticed", Duration::from_secs(2), async || {
            let refused = server.send(&phone(90), "482917").await;
            (server.refusal(&refused).0 == 403).then_some(())
        })
        .await;
    }
    gateway.nexo(&["account", "close", "--account", EMAIL]);
    for server in &servers {
        until("the closing is noticed", Duration::from_secs(2), async || {
            (server.send(&phone(90), "482917").await.status == 404).then_some(())
        })
        .await;
    }
    let database = Database::connect(gateway.database_url()).await.unwrap();
    let sql = "SELECT COUNT(*) FROM integrations WHERE secret IS NOT NULL OR removed_at_ms IS NULL";
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let kept: i64 =
        database.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(kept, 0);
    gateway.audit();
}

#[per_database]
async fn no_secret_code_or_phone_is_in_logs_or_metrics(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK, ("RUST_LOG", "trace")]);
    gateway.customer(EMAIL, "1.00");
    let to = phone(90);
    let mut secrets = vec!["73915264".to_owned(), to[1..].to_owned()];
    for kind in KINDS {
        let server = AuthServer::create(&gateway, EMAIL, kind);
        let _ = server.send(&to, "73915264").await;
        let _ = answer(server.request(r#"{"code":"73915264"}"#)).await;
        let _ = answer(server.unproven("73915264")).await;
        secrets.push(server.secret.trim_start_matches("v1,whsec_").to_owned());
    }
    let metrics = client().get(&gateway.metrics).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(r#"nexo_hook_requests_total{kind="logto",outcome="accepted"}"#));
    let log = gateway.log();
    assert!(log.contains("send") || !log.is_empty());
    for secret in &secrets {
        assert!(!log.contains(secret) && !metrics.contains(secret), "{secret}");
    }
}

#[per_database]
async fn where_a_key_of_signatures_is_stored_a_bearer_secret_is_not(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    gateway.customer(EMAIL, "1.00");
    let servers: Vec<AuthServer> =
        KINDS.iter().map(|kind| AuthServer::create(&gateway, EMAIL, kind)).collect();
    let database = Database::connect(gateway.database_url()).await.unwrap();
    let sql = "SELECT kind, secret_form, secret FROM integrations";
    let statement = Statement::from_string(database.get_database_backend(), sql);
    for row in database.query_all_raw(statement).await.unwrap() {
        let (kind, form, secret): (String, String, Vec<u8>) = row.try_get_many_by_index().unwrap();
        let server = servers.iter().find(|server| server.kind == kind).unwrap();
        let text = server.secret.as_bytes();
        let is_clear = secret.windows(text.len()).any(|part| part == text);
        assert_eq!(is_clear, form == "plain", "{kind}");
        // SQLite has an installation secret from the first start on.
        let of_signatures = if backend == Backend::Sqlite { "sealed" } else { "plain" };
        assert_eq!(form, if server.signs() { of_signatures } else { "sha256" }, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_installation_secret_every_node_and_command_uses_it() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let secret =
        ("NEXO_VERIFY__SECRET", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    let node = ("NEXO_CLUSTER__NODE", "b");
    let one = Gateway::start(Backend::Postgres, &[QUICK, secret, ("NEXO_CLUSTER__NODE", "a")]);
    let two = one.beside(&[QUICK, node]);
    one.customer(EMAIL, "1.00");
    let server = AuthServer::create(&one, EMAIL, "zitadel");
    assert_eq!(one.query("SELECT secret_form FROM integrations"), "sealed");
    for server in [server.clone(), server.at(&two)] {
        assert_rang(&server.send(&phone(90), "482917").await);
    }
    // A command without the secret would store a key that nothing protects.
    let create = ["integration", "create", "--account", EMAIL, "--kind", "zitadel", "--name", "n"];
    let told = one.fail(&[("NEXO_VERIFY__SECRET", "")], &create);
    assert!(told.contains("[verify] secret"), "{told}");
}
