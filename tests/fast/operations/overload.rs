//! Tests of overload: requests get 503 with `Retry-After` without delay and cost nothing, and the gateway recovers
//! afterwards.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::postgres_server::Server;
use harness::{Answer, Backend, Customer, Gateway, answer, per_database, phone};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use serde_json::json;

const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");
/// The maximum time of a refusal while the database is blocked. The debit that detects it waits for two seconds.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(3_500);

fn assert_overloaded(answer: &Answer) {
    let actual = (answer.status, answer.error());
    assert_eq!(actual, (503, "overloaded"), "{}", answer.text);
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds));
}

async fn timed<F: Future<Output = Answer>>(request: F) -> Answer {
    let since = Instant::now();
    let answer = request.await;
    assert!(since.elapsed() < REFUSAL_TIMEOUT, "{:?}: {}", since.elapsed(), answer.text);
    answer
}

/// Blocks all writes to wallets until the returned transaction is rolled back.
async fn stall(database: &DatabaseConnection) -> sea_orm::DatabaseTransaction {
    let options = sea_orm::TransactionOptions {
        sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction = database.begin_with_options(options).await.unwrap();
    if database.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
        let lock = "LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE";
        transaction.execute_unprepared(lock).await.unwrap();
    }
    transaction
}

async fn deliveries(database: &DatabaseConnection) -> i64 {
    let statement = sea_orm::Statement::from_string(
        database.get_database_backend(),
        "SELECT COUNT(*) FROM deliveries",
    );
    let row = database.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn send_with_key(customer: &Customer, key: &str, phone: &str) -> Answer {
    let request = customer
        .http
        .post(format!("{}/send-otp", customer.api))
        .bearer_auth(&customer.key)
        .header("Idempotency-Key", key)
        .body(json!({ "phone": phone, "code": "482917" }).to_string());
    answer(request).await
}

/// Repeats a request until the answer is not 503, in the same way as a customer that obeys `Retry-After`.
async fn retry_overloaded<F: Future<Output = Answer>>(mut send: impl FnMut() -> F) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let answer = send().await;
        if answer.status != 503 {
            return answer;
        }
        assert_overloaded(&answer);
        assert!(Instant::now() < deadline, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn send_until_accepted(customer: &Customer, to: &str) {
    let sent = retry_overloaded(|| customer.send(to, "482917")).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
}

#[per_database]
async fn a_blocked_database_is_a_503_without_delay_and_costs_nothing(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "10.00");
    // This call ends while the database is blocked.
    let before = customer.send(&phone(90), "1234").await;
    assert_eq!(before.status, 202);
    let database = Database::connect(gateway.database_url()).await.unwrap();
    let stalled = stall(&database).await;
    let phones: Vec<String> = (0..40).map(|_| phone(90)).collect();
    // Two rounds: the second arrives after the first was refused.
    for _ in 0..2 {
        let plain = join_all(phones[..20].iter().map(|to| timed(customer.send(to, "1234"))));
        let with_keys =
            join_all(phones[20..].iter().map(|to| timed(send_with_key(&customer, to, to))));
        let (plain, with_keys) = tokio::join!(plain, with_keys);
        plain.iter().chain(&with_keys).for_each(assert_overloaded);
    }
    stalled.rollback().await.unwrap();
    assert_eq!(deliveries(&database).await, 1);
    // No phone window and no idempotency key remains in use.
    send_until_accepted(&customer, &phones[0]).await;
    for to in &phones[1..20] {
        assert_eq!(customer.send(to, "1234").await.status, 202);
    }
    for to in &phones[20..] {
        let sent = send_with_key(&customer, to, to).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        assert_eq!(sent.header("idempotent-replayed"), None);
    }
    assert_eq!(deliveries(&database).await, 41);
    let ended = customer.terminal(before.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["error_code"], "busy");
    assert_eq!(gateway.metric("nexo_internal_errors_total").await, 0.0);
    gateway.audit();
}

#[per_database]
async fn a_full_trunk_is_a_503_without_delay_until_a_call_ends(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let config = gateway.dir.path().join("nexo.toml");
    std::fs::write(&config, "[[carriers]]\nname = \"viettel\"\nchannels = 2\n").unwrap();
    let mut gateway = gateway;
    gateway.kill_and_restart();
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = join_all((0..10).map(|_| phone(67)).map(|to| {
        let customer = customer.clone();
        async move { timed(customer.send(&to, "1234")).await }
    }))
    .await;
    let accepted: Vec<&Answer> = sent.iter().filter(|answer| answer.status == 202).collect();
    assert_eq!(accepted.len(), 2);
    for refused in sent.iter().filter(|answer| answer.status != 202) {
        assert_overloaded(refused);
    }
    assert_eq!(customer.balance().await.0, "9.956");
    for sent in accepted {
        customer.terminal(sent.json["id"].as_str().unwrap()).await;
    }
    send_until_accepted(&customer, &phone(90)).await;
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_is_a_503_and_never_a_401_or_500() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let server = Server::start().expect("a PostgreSQL installation");
    let url = server.url();
    let gateway = Gateway::start(Backend::Sqlite, &[QUICK, ("NEXO_DATABASE__URL", &url)]);
    let known = gateway.customer("a@example.com", "10.00");
    let unknown = gateway.customer("b@example.com", "10.00");
    let sent = known.send(&phone(90), "1234").await;
    assert_eq!(sent.status, 202);
    let delivery = format!("deliveries/{}", sent.json["id"].as_str().unwrap());
    known.terminal(sent.json["id"].as_str().unwrap()).await;
    server.crash();
    for _ in 0..3 {
        for customer in [&known, &unknown] {
            let (to, other) = (phone(90), phone(90));
            let (plain, with_key, balance, read) = tokio::join!(
                timed(customer.send(&to, "1234")),
                timed(send_with_key(customer, "k", &other)),
                timed(customer.get("balance")),
                timed(customer.get(&delivery)),
            );
            [plain, with_key, balance, read].iter().for_each(assert_overloaded);
        }
    }
    server.start_again();
    for (customer, left) in [(&known, "9.934"), (&unknown, "9.956")] {
        send_until_accepted(customer, &phone(90)).await;
        let to = phone(90);
        let sent = retry_overloaded(|| send_with_key(customer, "k", &to)).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let balance = retry_overloaded(|| customer.get("balance")).await;
        assert_eq!(harness::number(&balance.text, "balance"), left);
    }
    gateway.audit();
}
