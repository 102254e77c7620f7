//! The `Idempotency-Key` header: repeated requests get the same answer and place one call, also across restarts and
//! nodes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::{Answer, Backend, Customer, Gateway, answer, per_database, phone};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use serde_json::json;

const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");
const NODE_A: (&str, &str) = ("NEXO_CLUSTER__NODE", "a");
const NODE_B: (&str, &str) = ("NEXO_CLUSTER__NODE", "b");

fn body(phone: &str) -> String {
    json!({ "phone": phone, "code": "482917" }).to_string()
}

fn request(customer: &Customer, key: &[u8], body: &str) -> reqwest::RequestBuilder {
    let key = reqwest::header::HeaderValue::from_bytes(key).unwrap();
    customer
        .http
        .post(format!("{}/send-otp", customer.api))
        .bearer_auth(&customer.key)
        .header("Idempotency-Key", key)
        .body(body.to_owned())
}

async fn post(customer: &Customer, key: &str, body: &str) -> Answer {
    answer(request(customer, key.as_bytes(), body)).await
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

fn assert_replays(again: &Answer, first: &Answer) {
    assert!(is_replay(again), "{again:?}");
    assert_eq!(again.status, first.status);
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
}

fn assert_error(answer: &Answer, status: u16, error: &str) {
    let actual = (answer.status, answer.error());
    assert_eq!(actual, (status, error), "{}", answer.text);
    assert!(!is_replay(answer));
}

async fn database(gateway: &Gateway) -> DatabaseConnection {
    Database::connect(gateway.database_url()).await.unwrap()
}

async fn count(database: &DatabaseConnection, what: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM {what}");
    let backend = database.get_database_backend();
    let row = database.query_one_raw(sea_orm::Statement::from_string(backend, sql)).await;
    row.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[per_database]
async fn a_repeated_request_gets_the_same_answer_and_calls_once_also_after_a_restart(
    backend: Backend,
) {
    let mut gateway = Gateway::start(backend, &[QUICK]);
    let mut customer = gateway.customer("a@example.com", "1.00");
    let first_body = body(&phone(90));
    let first = post(&customer, "order 42", &first_body).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(first.header("idempotent-replayed"), None);
    // Within the phone's window of 30 s.
    assert_replays(&post(&customer, "order 42", &first_body).await, &first);
    let named = request(&customer, b"order 42", &first_body).header("X-Request-Id", "mine-1");
    assert_eq!(answer(named).await.header("x-request-id"), Some("mine-1"));
    for other in [body(&phone(90)), format!("{first_body} "), "no JSON".into()] {
        let conflict = post(&customer, "order 42", &other).await;
        assert_error(&conflict, 409, "idempotency_conflict");
    }
    gateway.kill_and_restart();
    customer.api = format!("{}/api/v1", gateway.url);
    assert_replays(&post(&customer, "order 42", &first_body).await, &first);
    let conflict = post(&customer, "order 42", "{}").await;
    assert_error(&conflict, 409, "idempotency_conflict");
    let database = database(&gateway).await;
    assert_eq!(count(&database, "deliveries").await, 1);
    assert!(gateway.metric("nexo_idempotent_replays_total").await >= 1.0);
    gateway.audit();
}

#[per_database]
async fn an_idempotency_key_is_scoped_to_its_api_key(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let one = gateway.customer("a@example.com", "1.00");
    let args = ["key", "create", "--account", "a@example.com", "--name", "b"];
    let two =
        Customer { key: gateway.nexo(&args)["key"].as_str().unwrap().to_owned(), ..one.clone() };
    let other = gateway.customer("b@example.com", "1.00");
    for customer in [&one, &two, &other] {
        let sent = post(customer, "k", &body(&phone(90))).await;
        assert_eq!((sent.status, is_replay(&sent)), (202, false));
    }
}

#[per_database]
async fn fifty_concurrent_requests_make_one_call_and_get_one_answer(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    let body = body(&phone(91));
    let answers = join_all((0..50).map(|_| post(&customer, "k", &body))).await;
    for answer in &answers {
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!(answer.text, answers[0].text);
    }
    assert_eq!(answers.iter().filter(|a| !is_replay(a)).count(), 1);
    let database = database(&gateway).await;
    assert_eq!(count(&database, "deliveries").await, 1);
    assert_eq!(count(&database, "idempotency WHERE answered").await, 1);
    assert_eq!(customer.balance().await.0, "0.978");
    gateway.audit();
}

#[per_database]
async fn a_402_a_429_and_a_502_free_the_key(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let poor = gateway.customer("poor@example.com", "0");
    for _ in 0..2 {
        let short = post(&poor, "k", &body(&phone(90))).await;
        assert_error(&short, 402, "insufficient_balance");
    }
    let customer = gateway.customer("a@example.com", "1.00");
    let called = phone(90);
    assert_eq!(customer.send(&called, "1234").await.status, 202);
    let limited = post(&customer, "k", &body(&called)).await;
    assert_error(&limited, 429, "rate_limited");
    // A different carrier each time, because a gateway remembers its failures.
    for (prefix, ending) in [("+8490", 95), ("+8491", 96), ("+8492", 97)] {
        let to = phone(ending).replacen("+8498", prefix, 1);
        let refused = post(&customer, "k", &body(&to)).await;
        assert_eq!(refused.error(), "no_route", "{}", refused.text);
        assert!(!is_replay(&refused));
    }
    let database = database(&gateway).await;
    assert_eq!(count(&database, "idempotency").await, 0);
    let accepted_body = body(&phone(90));
    let accepted = post(&customer, "k", &accepted_body).await;
    assert_eq!((accepted.status, is_replay(&accepted)), (202, false));
    assert_replays(&post(&customer, "k", &accepted_body).await, &accepted);
    assert_eq!(customer.balance().await.0, "0.956");
    gateway.audit();
}

#[per_database]
async fn a_400_is_stored_and_replayed(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    for (key, wrong, error) in [
        ("no JSON", "no JSON", "invalid_request"),
        ("phone", r#"{"phone":"+8498","code":"1234"}"#, "invalid_phone"),
        ("code", r#"{"phone":"+84981234567","code":"1"}"#, "invalid_code"),
    ] {
        let many = join_all((0..5).map(|_| post(&customer, key, wrong))).await;
        for answer in &many {
            assert_eq!((answer.status, answer.error()), (400, error));
            assert_eq!(answer.text, many[0].text);
        }
        assert_eq!(many.iter().filter(|answer| !is_replay(answer)).count(), 1);
        let conflict = post(&customer, key, &body(&phone(90))).await;
        assert_error(&conflict, 409, "idempotency_conflict");
    }
    let database = database(&gateway).await;
    assert_eq!(count(&database, "idempotency").await, 3);
    assert_eq!(count(&database, "deliveries").await, 0);
}

#[per_database]
async fn a_malformed_key_is_a_400_and_is_not_stored(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    let (longest, too_long) = ("~".repeat(255), "k".repeat(256));
    for key in [too_long.as_bytes(), b"", "na\u{ef}ve".as_bytes(), b"latin\xe9", b"tab\tin it"] {
        let refused = answer(request(&customer, key, &body(&phone(90)))).await;
        assert_error(&refused, 400, "invalid_request");
        let message = refused.json["message"].as_str().unwrap();
        assert!(message.contains("Idempotency-Key"), "{message}");
    }
    let two = request(&customer, b"k", &body(&phone(90))).header("Idempotency-Key", "l");
    assert_error(&answer(two).await, 400, "invalid_request");
    // The API key is checked first.
    let stranger = Customer { key: "sk_live_nonsense".into(), ..customer.clone() };
    let unknown = answer(request(&stranger, b"", &body(&phone(90)))).await;
    assert_error(&unknown, 401, "invalid_key");
    let database = database(&gateway).await;
    assert_eq!(count(&database, "idempotency").await, 0);
    for key in ["a", " two words ", longest.as_str()] {
        assert_eq!(post(&customer, key, &body(&phone(90))).await.status, 202);
    }
}

#[per_database]
async fn a_key_expires_after_a_day(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    assert_eq!(post(&customer, "k", "no JSON").await.status, 400);
    let database = database(&gateway).await;
    let later = "UPDATE idempotency SET created_at_ms = created_at_ms - 86400000";
    database.execute_unprepared(later).await.unwrap();
    let sent_body = body(&phone(90));
    let sent = post(&customer, "k", &sent_body).await;
    assert_eq!((sent.status, is_replay(&sent)), (202, false));
    assert_replays(&post(&customer, "k", &sent_body).await, &sent);
}

#[per_database]
async fn a_key_does_not_call_again_after_a_crash_before_the_carrier_answers(backend: Backend) {
    let mut gateway = Gateway::start(backend, &[QUICK]);
    let mut customer = gateway.customer("a@example.com", "1.00");
    let silent = body(&phone(97));
    let database = database(&gateway).await;
    let first = tokio::spawn(request(&customer, b"k", &silent).send());
    until("debited", || async { count(&database, "deliveries").await == 1 }).await;
    assert_eq!(count(&database, "idempotency WHERE NOT answered").await, 1);
    gateway.kill_and_restart();
    assert!(first.await.unwrap().is_err());
    customer.api = format!("{}/api/v1", gateway.url);
    let again = post(&customer, "k", &silent).await;
    assert_eq!(again.status, 202, "{}", again.text);
    assert!(is_replay(&again));
    let id = again.json["id"].as_str().unwrap();
    let delivery = customer.get(&format!("deliveries/{id}")).await;
    assert_eq!(delivery.json["error_code"], "interrupted");
    assert_eq!(count(&database, "deliveries").await, 1);
    assert_eq!(gateway.metric("nexo_ledger_debits_total").await, 0.0);
    assert_eq!(customer.balance().await.1, "1.000");
    gateway.audit();
}

/// Blocks every debit until the returned transaction is rolled back.
async fn stall(database: &DatabaseConnection) -> sea_orm::DatabaseTransaction {
    let options = sea_orm::TransactionOptions {
        sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction = database.begin_with_options(options).await.unwrap();
    if database.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
        let lock = "LOCK TABLE wallets IN EXCLUSIVE MODE";
        transaction.execute_unprepared(lock).await.unwrap();
    }
    transaction
}

#[per_database]
async fn a_retry_after_a_disconnect_gets_the_answer_of_the_request_in_progress(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    // Loads the API key and the wallet into the caches.
    assert_eq!(customer.send(&phone(90), "1234").await.status, 202);
    let database = database(&gateway).await;
    let stalled = stall(&database).await;
    let sent_body = body(&phone(90));
    let impatient = request(&customer, b"k", &sent_body).timeout(Duration::from_millis(800));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    let again = {
        let (customer, sent_body) = (customer.clone(), sent_body.clone());
        tokio::spawn(async move { post(&customer, "k", &sent_body).await })
    };
    stalled.rollback().await.unwrap();
    let again = again.await.unwrap();
    assert_eq!((again.status, is_replay(&again)), (202, true), "{}", again.text);
    assert_eq!(count(&database, "deliveries").await, 2);
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_to_two_nodes_make_one_call() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let one = Gateway::start(Backend::Postgres, &[QUICK, NODE_A]);
    let two = one.beside(&[QUICK, NODE_B]);
    let customer = one.customer("a@example.com", "10.00");
    let on_two = Customer { api: format!("{}/api/v1", two.url), ..customer.clone() };
    for round in 0..20 {
        let (key, body) = (format!("round {round}"), body(&phone(90)));
        let from_one = join_all((0..4).map(|_| post(&customer, &key, &body)));
        let from_two = join_all((0..4).map(|_| post(&on_two, &key, &body)));
        let (from_one, from_two) = tokio::join!(from_one, from_two);
        let all: Vec<&Answer> = from_one.iter().chain(&from_two).collect();
        for answer in &all {
            assert_eq!(answer.status, 202, "{}", answer.text);
            assert_eq!(answer.text, all[0].text);
        }
        assert_eq!(all.iter().filter(|answer| !is_replay(answer)).count(), 1);
        let conflict = post(&on_two, &key, "{}").await;
        assert_error(&conflict, 409, "idempotency_conflict");
        // Refusals also race: both nodes give the answer of the first one.
        let key = format!("wrong {round}");
        let (from_one, from_two) =
            tokio::join!(post(&customer, &key, "{}"), post(&on_two, &key, "{}"));
        assert_eq!((from_one.status, &from_one.text), (400, &from_two.text));
        assert!(is_replay(&from_one) != is_replay(&from_two));
    }
    let database = database(&one).await;
    assert_eq!(count(&database, "deliveries").await, 20);
    until("all calls have ended", || async {
        count(&database, "deliveries WHERE status = 'sent'").await == 0
    })
    .await;
    one.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_waits_for_a_request_in_progress_on_another_node_even_if_that_crashes() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let mut one = Gateway::start(Backend::Postgres, &[QUICK, NODE_A]);
    let two = one.beside(&[QUICK, NODE_B]);
    let customer = one.customer("a@example.com", "1.00");
    let on_two = Customer { api: format!("{}/api/v1", two.url), ..customer.clone() };
    let database = database(&one).await;
    // The carrier's refusal frees the key, and the second node calls again.
    let silent = body(&phone(97));
    let first = tokio::spawn({
        let (customer, silent) = (customer.clone(), silent.clone());
        async move { post(&customer, "k", &silent).await }
    });
    until("debited", || async { count(&database, "deliveries").await == 1 }).await;
    let second = post(&on_two, "k", &silent).await;
    let first = first.await.unwrap();
    assert_error(&first, 502, "no_route");
    assert_error(&second, 502, "no_route");
    assert_ne!(first.json["id"], second.json["id"]);
    // Now the first node crashes. The second one waits until the delivery is settled.
    let first = tokio::spawn(request(&customer, b"k", &silent).send());
    until("debited", || async { count(&database, "deliveries").await == 3 }).await;
    let second = tokio::spawn({
        let (on_two, silent) = (on_two.clone(), silent.clone());
        async move { post(&on_two, "k", &silent).await }
    });
    one.kill();
    assert!(first.await.unwrap().is_err());
    one.restart();
    let second = second.await.unwrap();
    assert_eq!((second.status, is_replay(&second)), (202, true), "{}", second.text);
    let id = second.json["id"].as_str().unwrap();
    let delivery = on_two.get(&format!("deliveries/{id}")).await;
    assert_eq!(delivery.json["error_code"], "interrupted");
    assert_eq!(count(&database, "deliveries").await, 3);
    assert_eq!(on_two.balance().await.1, "1.000");
    one.audit();
}
