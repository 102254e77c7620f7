//! Tests that setting the wall clock neither holds phones nor releases them, and never reverses a delivery's times.

use std::time::Duration;

use harness::{Answer, Backend, Customer, Gateway, per_database, phone, until};
use serde_json::Value;

const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");
const HOUR_MS: i64 = 3_600_000;

fn assert_held(answer: &Answer) {
    let actual = (answer.status, answer.error());
    assert_eq!(actual, (429, "rate_limited"), "{}", answer.text);
    let seconds = answer.json["retry_after_seconds"].as_i64().unwrap();
    assert!((1..=30).contains(&seconds), "{}", answer.text);
}

/// Retries until the phone is free. It must be so within the window of 30 s, whatever the wall clock says.
async fn wait_until_free(customer: &Customer, phone: &str) -> Answer {
    until("a free phone", Duration::from_secs(45), async || {
        let answer = customer.send(phone, "482917").await;
        if answer.status == 202 {
            return Some(answer);
        }
        assert_held(&answer);
        tokio::time::sleep(Duration::from_millis(200)).await;
        None
    })
    .await
}

/// A time of a delivery. RFC 3339 in UTC sorts as text.
fn time<'a>(delivery: &'a Value, name: &str) -> &'a str {
    delivery[name].as_str().unwrap()
}

#[per_database]
async fn a_phone_is_held_for_30_seconds_whatever_happens_to_the_clock(backend: Backend) {
    let mut gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "5.00");
    let (back, forward) = (phone(67), phone(67));
    let first = customer.send(&back, "482917").await;
    assert_eq!(first.status, 202, "{}", first.text);
    gateway.set_clock(-HOUR_MS);
    wait_until(&gateway, -HOUR_MS).await;
    assert_held(&customer.send(&back, "482917").await);
    let second = customer.send(&forward, "482917").await;
    assert_eq!(second.status, 202, "{}", second.text);
    gateway.set_clock(HOUR_MS);
    wait_until(&gateway, HOUR_MS).await;
    assert_held(&customer.send(&forward, "482917").await);
    wait_until_free(&customer, &back).await;
    wait_until_free(&customer, &forward).await;
    gateway.audit();
}

/// Waits until the gateway's clock is off by this much.
async fn wait_until(gateway: &Gateway, offset_ms: i64) {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = now.as_millis() as i64;
    let name = format!("clock{offset_ms}@example.com");
    let customer = gateway.customer(&name, "1.00");
    until("the clock", Duration::from_secs(20), async || {
        let sent = customer.send(&phone(67), "482917").await;
        let id = sent.json["id"].as_str()?.to_owned();
        let delivery = customer.get(&format!("deliveries/{id}")).await;
        let expected = nexo_domain::timestamp::rfc3339(now + offset_ms);
        // The same hour and minute, or the next minute.
        let next = nexo_domain::timestamp::rfc3339(now + offset_ms + 60_000);
        let created = time(&delivery.json, "created_at").get(..16)?.to_owned();
        [&expected[..16], &next[..16]].contains(&created.as_str()).then_some(())
    })
    .await;
}

#[per_database]
async fn a_restart_after_the_clock_was_set_back_releases_old_claims(backend: Backend) {
    let mut gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "5.00");
    let phone = phone(67);
    let sent = customer.send(&phone, "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    customer.terminal(sent.json["id"].as_str().unwrap()).await;
    gateway.set_clock(-HOUR_MS);
    gateway.kill_and_restart();
    let customer = Customer { api: format!("{}/api/v1", gateway.url), ..customer };
    // On SQLite the stored claim ends an hour ahead, and is over. On PostgreSQL the claim is in the time of the
    // database, which was not set: the phone is held for the rest of the 30 s.
    match backend {
        Backend::Sqlite => {
            let again = customer.send(&phone, "482917").await;
            assert_eq!(again.status, 202, "{}", again.text);
        }
        Backend::Postgres => {
            wait_until_free(&customer, &phone).await;
        }
    }
    gateway.audit();
}

#[per_database]
async fn the_times_of_a_delivery_never_run_backwards(backend: Backend) {
    let mut gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "5.00");
    let sent = customer.send(&phone(67), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    gateway.set_clock(-HOUR_MS);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
    let (created, completed) = (time(&ended.json, "created_at"), time(&ended.json, "completed_at"));
    assert!(created <= completed, "{}", ended.text);
    let list = customer.get("deliveries?limit=1").await;
    assert_eq!(list.json["deliveries"][0]["completed_at"], completed);
}

#[per_database]
async fn an_interrupted_delivery_ends_after_it_began_although_the_clock_was_set_back(
    backend: Backend,
) {
    let mut gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "5.00");
    let sent = customer.send(&phone(91), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    gateway.set_clock(-HOUR_MS);
    gateway.kill_and_restart();
    let customer = Customer { api: format!("{}/api/v1", gateway.url), ..customer };
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["error_code"], "interrupted", "{}", ended.text);
    assert!(time(&ended.json, "created_at") <= time(&ended.json, "completed_at"), "{}", ended.text);
}
