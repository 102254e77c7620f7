//! Phones and codes never appear in the log, and phones are masked after the configured time.

use std::time::{Duration, Instant};

use harness::past::Past;
use harness::{Backend, Gateway, Receiver, per_database, phone};

const EVERYTHING: &str = "debug,nexo=trace,nexo_route=trace,nexo_actors=trace,nexo_entities=trace,\
                          nexo_voice=trace,nexo_domain=trace,nexo_migration=trace";
/// Long enough that no other number in the log matches it.
const CODE: &str = "73915582";

#[per_database]
async fn no_line_of_the_log_holds_a_phone_or_a_code(backend: Backend) {
    let settings = [
        ("RUST_LOG", EVERYTHING),
        ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
        ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
        ("NEXO_CALLS__REPEAT", "1"),
    ];
    let mut gateway = Gateway::start(backend, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let receiver = Receiver::start();
    let url = receiver.url();
    let add = ["webhook", "add", "--account", "a@example.com", "--url", &url];
    gateway.nexo(&add);
    // Delivered, declined, refused by the carrier, throttled; then a second call within the phone's window.
    let phones: Vec<String> = [67, 92, 95, 96].map(phone).to_vec();
    for to in &phones {
        customer.send(to, CODE).await;
    }
    assert_eq!(customer.send(&phones[0], CODE).await.status, 429);
    // Refused requests that contain a phone and a code.
    let both = format!(r#"{{"phone":"{} ","code":"{CODE}"}}"#, phones[0]);
    assert_eq!(customer.post(&both).await.status, 400);
    assert_eq!(customer.post(&format!("{{{both}")).await.status, 400);
    let listed = customer.get(&format!("deliveries?phone={}", phones[0])).await;
    let id = listed.json["deliveries"][0]["id"].as_str().unwrap().to_owned();
    customer.get(&format!("deliveries?phone={}0", phones[0])).await;
    assert_eq!(customer.terminal(&id).await.json["status"], "delivered");
    receiver.next();
    // The gateway is killed during this call and recovers it at the next start.
    let ringing = phone(91);
    assert_eq!(customer.send(&ringing, CODE).await.status, 202);
    gateway.kill_and_restart();
    gateway.terminate();
    let log = gateway.log();
    assert!(log.contains("DEBUG") && log.contains("recovered"), "{log}");
    for to in phones.iter().chain([&ringing]) {
        let digits = to.strip_prefix("+84").unwrap();
        let line = log.lines().find(|line| line.contains(digits));
        assert_eq!(line, None, "the log contains {to}");
    }
    assert_eq!(log.lines().find(|line| line.contains(CODE)), None);
    let key = customer.key.as_str();
    assert_eq!(log.lines().find(|line| line.contains(key)), None);
}

#[per_database]
async fn old_phones_are_masked_while_the_gateway_runs(backend: Backend) {
    let settings = [("NEXO_PRIVACY__MASK_PHONES_AFTER_DAYS", "30")];
    let mut gateway = Gateway::start(backend, &settings);
    let customer = gateway.customer("a@example.com", "100.00");
    let mut past = Past::of(&gateway, &customer, "a@example.com").await;
    past.deliveries(500).await;
    drop(past);
    let new = phone(92);
    let sent = customer.send(&new, "482917").await;
    customer.terminal(sent.json["id"].as_str().unwrap()).await;
    // Masking runs at the start and then every ten minutes.
    gateway.kill_and_restart();
    let customer = harness::Customer { api: format!("{}/api/v1", gateway.url), ..customer };
    let deadline = Instant::now() + Duration::from_secs(30);
    while gateway.metric("nexo_masked_phones_total").await < 500.0 {
        assert!(Instant::now() < deadline, "the phones are not masked");
        // OTPs are accepted while masking runs.
        let sent = customer.send(&phone(92), "482917").await;
        assert_eq!(sent.status, 202, "{}", sent.text);
    }
    let list = customer.get("deliveries?to=2026-06-01&limit=200").await;
    let listed = list.json["deliveries"].as_array().unwrap();
    assert_eq!(listed.len(), 200);
    for delivery in listed {
        let phone = delivery["phone"].as_str().unwrap();
        assert!(phone.contains("***") && phone.len() == 12, "{phone}");
    }
    let found = customer.get("deliveries?phone=%2B84980000007").await;
    assert_eq!(found.json["deliveries"].as_array().unwrap().len(), 0);
    let kept = customer.get(&format!("deliveries?phone={new}")).await;
    assert_eq!(kept.json["deliveries"].as_array().unwrap().len(), 1);
    assert!(gateway.metric("nexo_masking_last_run_timestamp_seconds").await > 1.7e9);
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_are_not_masked_by_default() {
    let mut gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "100.00");
    let mut past = Past::of(&gateway, &customer, "a@example.com").await;
    past.deliveries(3).await;
    drop(past);
    let shown = gateway.nexo(&["config", "print"]);
    assert_eq!(shown["privacy"]["mask_phones_after_days"], 0);
    gateway.kill_and_restart();
    let customer = harness::Customer { api: format!("{}/api/v1", gateway.url), ..customer };
    let found = customer.get("deliveries?phone=%2B84980000001").await;
    assert_eq!(found.json["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(gateway.metric("nexo_masked_phones_total").await, 0.0);
}
