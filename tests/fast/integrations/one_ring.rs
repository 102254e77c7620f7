//! One ring: repeated requests of an auth server make the phone ring once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::{Backend, Gateway, answer, per_database, phone, until};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TransactionTrait};

use super::*;

const EMAIL: &str = "a@example.com";
const NODE_A: (&str, &str) = ("NEXO_CLUSTER__NODE", "a");
const NODE_B: (&str, &str) = ("NEXO_CLUSTER__NODE", "b");

async fn database(gateway: &Gateway) -> DatabaseConnection {
    Database::connect(gateway.database_url()).await.unwrap()
}

async fn count(database: &DatabaseConnection, what: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM {what}");
    let backend = database.get_database_backend();
    let row = database.query_one_raw(sea_orm::Statement::from_string(backend, sql)).await;
    row.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Twenty requests at once, and three with new ids over ten seconds, at these places in turn.
async fn assert_one_ring(servers: &[AuthServer], phone: &str, code: &str) {
    let many = (0..20).map(|n| servers[n % servers.len()].send(phone, code));
    let answers = join_all(many).await;
    for answer in &answers {
        assert_accepted(answer);
    }
    assert_eq!(answers.iter().filter(|answer| !is_replay(answer)).count(), 1);
    for n in 0..3 {
        tokio::time::sleep(Duration::from_millis(3_300)).await;
        assert_replay(&servers[n % servers.len()].send(phone, code).await);
        let other = &servers[(n + 1) % servers.len()];
        let refused = other.send(phone, "111111").await;
        assert_eq!(other.refusal(&refused).0, 429);
    }
}

#[per_database]
async fn repeated_requests_ring_once_on_one_node(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer(EMAIL, "1.00");
    let servers = ["supabase", "logto"].map(|kind| AuthServer::create(&gateway, EMAIL, kind));
    let phones = [phone(91), phone(67)];
    let rings = servers.iter().zip(&phones);
    join_all(
        rings.map(|(server, phone)| assert_one_ring(std::slice::from_ref(server), phone, "482917")),
    )
    .await;
    let database = database(&gateway).await;
    assert_eq!(count(&database, "deliveries").await, 2);
    assert_eq!(count(&database, "ledger_entries WHERE kind = 'debit'").await, 2);
    assert_eq!(customer.balance().await.0, "0.956");
    assert!(gateway.metric("nexo_idempotent_replays_total").await >= 44.0);
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_requests_ring_once_on_two_nodes() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let one = Gateway::start(Backend::Postgres, &[QUICK, NODE_A]);
    let two = one.beside(&[QUICK, NODE_B]);
    let customer = one.customer(EMAIL, "10.00");
    let servers = ["zitadel", "kratos", "supabase"].map(|kind| {
        let server = AuthServer::create(&one, EMAIL, kind);
        [server.at(&two), server]
    });
    let phones: Vec<String> = (0..3).map(|n| phone([91, 67, 90][n])).collect();
    let rings = servers.iter().zip(&phones);
    join_all(rings.map(|(servers, phone)| assert_one_ring(servers, phone, "482917"))).await;
    // Many phones, each asked for at the same moment on both nodes.
    for _ in 0..20 {
        let phone = phone(90);
        let [on_two, on_one] = &servers[0];
        let (first, second) =
            tokio::join!(on_one.send(&phone, "4829"), on_two.send(&phone, "4829"));
        assert_accepted(&first);
        assert_accepted(&second);
        assert!(is_replay(&first) != is_replay(&second), "{first:?} {second:?}");
    }
    let database = database(&one).await;
    assert_eq!(count(&database, "deliveries").await, 23);
    assert_eq!(customer.balance().await.0, "9.494");
    one.audit();
}

#[per_database]
async fn another_code_another_integration_and_an_api_key_meet_the_window(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "logto");
    let other = AuthServer::create(&gateway, EMAIL, "auth0");
    let phone = phone(90);
    assert_rang(&server.send(&phone, "482917").await);
    for (server, code) in [(&server, "482918"), (&server, "0482917"), (&other, "482917")] {
        let refused = server.send(&phone, code).await;
        assert_eq!(server.refusal(&refused), (429, "rate_limited".to_owned()));
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(customer.send(&phone, "482917").await.error(), "rate_limited");
    assert_replay(&server.send(&phone, "482917").await);
    gateway.audit();
}

#[per_database]
async fn the_same_code_rings_again_when_the_window_is_over(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "logto");
    let phone = phone(90);
    assert_rang(&server.send(&phone, "482917").await);
    let rang = Instant::now();
    // Until the very end of the window a repeat is a replay, and after it the phone rings again.
    let mut replays = 0;
    let again = until("the phone rings again", Duration::from_secs(40), async || {
        let again = server.send(&phone, "482917").await;
        assert_accepted(&again);
        replays += i32::from(is_replay(&again));
        (!is_replay(&again)).then_some(rang.elapsed())
    })
    .await;
    assert!(again >= Duration::from_millis(29_500) && replays > 100, "{again:?} {replays}");
    assert_replay(&server.send(&phone, "482917").await);
    // The code of the first window is another code in the third.
    let database = database(&gateway).await;
    assert_eq!(count(&database, "deliveries").await, 2);
    assert_eq!(customer.balance().await.0, "0.956");
    gateway.audit();
}

#[per_database]
async fn an_older_code_is_not_replayed_in_the_window_of_a_newer_one(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "logto");
    let phone = phone(90);
    assert_rang(&server.send(&phone, "1111").await);
    // Refused while the first code's window is held; then the second one rings, and is replayed.
    until("the window is over", Duration::from_secs(40), async || {
        is_replay(&server.send(&phone, "2222").await).then_some(())
    })
    .await;
    // Its stored answer is still there.
    let refused = server.send(&phone, "1111").await;
    assert_eq!(server.refusal(&refused).0, 429);
    assert_replay(&server.send(&phone, "2222").await);
}

#[per_database]
async fn a_refused_call_frees_the_request(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let poor = gateway.customer("poor@example.com", "0");
    let server = AuthServer::create(&gateway, "poor@example.com", "logto");
    let to = phone(90);
    assert_eq!(server.send(&to, "482917").await.error(), "insufficient_balance");
    let credit = ["wallet", "credit", "--account", "poor@example.com", "--bucket", "balance"];
    gateway.nexo(&[&credit[..], &["--amount", "1.00", "--reference", "r"]].concat());
    until("the credit is noticed", Duration::from_secs(5), async || {
        (server.send(&to, "482917").await.status == 200).then_some(())
    })
    .await;
    assert_replay(&server.send(&to, "482917").await);
    // A different carrier each time, because a gateway remembers its failures.
    for (prefix, ending, status) in [("+8490", 95, 502), ("+8491", 96, 429), ("+8492", 97, 502)] {
        let to = phone(ending).replacen("+8498", prefix, 1);
        let began = Instant::now();
        let many = join_all((0..3).map(|_| server.send(&to, "482917"))).await;
        assert!(began.elapsed() < Duration::from_millis(4_600), "{:?}", began.elapsed());
        assert!(many.iter().any(|refused| refused.status == status), "{many:?}");
        for refused in &many {
            let is_late = refused.status == 503 || refused.status == 200;
            assert!(refused.status == status || (ending == 97 && is_late), "{refused:?}");
        }
    }
    let database = database(&gateway).await;
    // A request that waited may have begun a call of its own, which is still to be settled.
    until("every call is settled", Duration::from_secs(20), async || {
        let is_settled = count(&database, "deliveries WHERE status = 'sent'").await == 0
            && count(&database, "idempotency").await == 1
            && poor.balance().await.0 == "0.978";
        is_settled.then_some(())
    })
    .await;
    gateway.audit();
}

#[per_database]
async fn an_answer_comes_in_time_while_the_carrier_is_silent(backend: Backend) {
    let settings = [
        QUICK,
        ("NEXO_CALLS__DISPATCH_TIMEOUT_MS", "9000"),
        ("NEXO_CALLS__GATEWAY_TIMEOUT_MS", "9000"),
    ];
    let gateway = Gateway::start(backend, &settings);
    let customer = gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "supabase");
    let phone = phone(97);
    let began = Instant::now();
    let first = server.send(&phone, "482917");
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        (server.send(&phone, "482917").await, began.elapsed())
    };
    let (first, (second, waited)) = tokio::join!(first, second);
    assert!(
        began.elapsed() < Duration::from_millis(5_600) && waited < Duration::from_millis(4_500)
    );
    assert_rang(&first);
    assert_replay(&second);
    // The saga goes on, and gives the price back.
    let database = database(&gateway).await;
    until("the call is settled", Duration::from_secs(20), async || {
        (count(&database, "deliveries WHERE status = 'failed'").await == 1).then_some(())
    })
    .await;
    assert_eq!(customer.balance().await.0, "1.000");
    assert_eq!(count(&database, "idempotency").await, 0);
    gateway.audit();
}

#[per_database]
async fn without_a_durable_debit_the_answer_is_503_in_time_and_a_repeat_rings_once(
    backend: Backend,
) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "logto");
    assert_rang(&server.send(&phone(90), "1234").await);
    let database = database(&gateway).await;
    let options = sea_orm::TransactionOptions {
        sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let stalled = database.begin_with_options(options).await.unwrap();
    if database.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
        stalled.execute_unprepared("LOCK TABLE wallets IN EXCLUSIVE MODE").await.unwrap();
    }
    let phone = phone(90);
    let began = Instant::now();
    let many = join_all((0..3).map(|_| server.send(&phone, "482917"))).await;
    assert!(began.elapsed() < Duration::from_millis(4_500), "{:?}", began.elapsed());
    for refused in &many {
        assert_eq!((refused.status, refused.error()), (503, "overloaded"), "{refused:?}");
    }
    stalled.rollback().await.unwrap();
    until("the phone rang", Duration::from_secs(20), async || {
        (server.send(&phone, "482917").await.status == 200).then_some(())
    })
    .await;
    assert_replay(&server.send(&phone, "482917").await);
    assert_eq!(count(&database, "deliveries").await, 2);
    assert_eq!(customer.balance().await.0, "0.956");
    gateway.audit();
}

#[per_database]
async fn a_repeat_after_a_crash_rings_no_phone_again(backend: Backend) {
    let mut gateway = Gateway::start(backend, &[QUICK]);
    gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "kratos");
    let phone = phone(91);
    assert_rang(&server.send(&phone, "482917").await);
    gateway.kill_and_restart();
    let server = server.at(&gateway);
    assert_replay(&server.send(&phone, "482917").await);
    let refused = server.send(&phone, "482918").await;
    assert_eq!(server.refusal(&refused).0, 429);
    assert_eq!(count(&database(&gateway).await, "deliveries").await, 1);
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_over_when_the_other_nodes_call_is_refused() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let silence = ["DISPATCH", "GATEWAY"].map(|of| format!("NEXO_CALLS__{of}_TIMEOUT_MS"));
    let silence = silence.each_ref().map(|name| (name.as_str(), "1000"));
    let one = Gateway::start(Backend::Postgres, &[QUICK, NODE_A, silence[0], silence[1]]);
    let two = one.beside(&[NODE_B]);
    one.customer(EMAIL, "1.00");
    let on_one = AuthServer::create(&one, EMAIL, "logto");
    let on_two = on_one.at(&two);
    // Silence for 1 s, then a refund; the second node's request waits, and then calls itself.
    let phone = phone(97);
    let first = on_one.send(&phone, "482917");
    let second = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        on_two.send(&phone, "482917").await
    };
    let (first, second) = tokio::join!(first, second);
    for refused in [&first, &second] {
        assert_eq!((refused.status, refused.error()), (502, "no_route"), "{refused:?}");
    }
    let database = database(&one).await;
    until("every call is settled", Duration::from_secs(20), async || {
        (count(&database, "deliveries WHERE status = 'sent'").await == 0).then_some(())
    })
    .await;
    assert_eq!(count(&database, "deliveries").await, 2);
    one.audit();
}

#[per_database]
async fn nothing_of_a_code_is_in_the_database(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "logto");
    let phone = phone(90);
    assert_rang(&server.send(&phone, "90417253").await);
    let database = database(&gateway).await;
    let sql = "SELECT idempotency_key, answer FROM idempotency";
    let statement = sea_orm::Statement::from_string(database.get_database_backend(), sql);
    let row = database.query_one_raw(statement).await.unwrap().unwrap();
    let (key, stored): (String, String) = row.try_get_many_by_index().unwrap();
    assert!(key.starts_with("hook:") && key.len() == 69, "{key}");
    assert!(!stored.contains("90417253"));
    // It is no plain hash of what the database has in clear.
    for text in [format!("{phone}|90417253"), format!("{phone}90417253"), "90417253".to_owned()] {
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        assert!(!key.contains(&hex::encode(hash)));
    }
    let refused = answer(server.request("{}")).await;
    assert_eq!(refused.status, 400);
    assert_eq!(count(&database, "idempotency").await, 1);
}
