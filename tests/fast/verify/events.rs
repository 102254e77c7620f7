//! The events of verifications: each is recorded with the status, signed, sent once, and told to its account alone.

use std::time::Duration;

use harness::{Answer, Backend, Customer, Gateway, Hook, Receiver, per_database, phone};
use nexo_domain::ids::VerificationId;
use nexo_domain::webhook::HashedSecret;
use nexo_entities::Store;
use serde_json::json;

use super::{cancel, check, code, count, execute, gateway, wrong_code};

const OPEN: [(&str, &str); 2] =
    [("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")];

/// Starts a verification of a number that is busy.
async fn start(customer: &Customer, reference: &str) -> Answer {
    let metadata = json!({ "cart": "7" });
    let body = json!({ "phone": phone(90), "reference": reference, "metadata": metadata });
    let started = super::start(customer, &body).await;
    assert_eq!(started.status, 202, "{}", started.text);
    started
}

async fn started(customer: &Customer, reference: &str) -> String {
    start(customer, reference).await.json["id"].as_str().unwrap().to_owned()
}

async fn approve(customer: &Customer, id: &str) {
    assert_eq!(check(customer, id, &code(id, 6)).await.json["status"], "approved");
}

/// The number of attempts in this status that tell ends of verifications.
async fn attempts(gateway: &Gateway, status: &str) -> i64 {
    let sql = "SELECT COUNT(*) FROM webhook_attempts WHERE verification_id IS NOT NULL";
    count(gateway, &format!("{sql} AND status = '{status}'")).await
}

struct Endpoint {
    secret: HashedSecret,
    receiver: Receiver,
}

fn endpoint(gateway: &Gateway, email: &str, events: &str) -> Endpoint {
    let receiver = Receiver::start();
    let add = ["webhook", "add", "--account", email, "--url", &receiver.url()];
    let added = gateway.nexo(&[&add[..], &["--events", events]].concat());
    Endpoint { secret: HashedSecret::of(added["secret"].as_str().unwrap()), receiver }
}

impl Endpoint {
    /// The next webhook, whose signature is right.
    fn next(&self) -> Hook {
        let hook = self.receiver.next();
        let signature = hook.header("x-nexo-signature");
        assert!(self.secret.verify(hook.body.as_bytes(), signature), "{hook:?}");
        assert_eq!(hook.json()["type"], hook.header("x-nexo-event-type"));
        hook
    }
}

#[per_database]
async fn each_end_is_told_to_the_endpoints_that_chose_it(backend: Backend) {
    let gateway = gateway(backend, &OPEN);
    let customer = gateway.customer("a@example.com", "1.00");
    gateway.customer("b@example.com", "1.00");
    let filters = ["verification.*", "verification.approved", "verification.failed", "otp.*"];
    let [all, approved, failed, otps] =
        filters.map(|events| endpoint(&gateway, "a@example.com", events));
    let stranger = endpoint(&gateway, "b@example.com", "otp.*,verification.*");

    let first = start(&customer, "r-1").await;
    let id = first.json["id"].as_str().unwrap();
    let delivery = first.json["delivery_id"].as_str().unwrap();
    let wrong = check(&customer, id, &wrong_code(id, 6)).await;
    assert_eq!(wrong.json["attempts_left"], 4);
    approve(&customer, id).await;
    for endpoint in [&all, &approved] {
        let hook = endpoint.next();
        let body = hook.json();
        assert_eq!(body["type"], "verification.approved");
        let data = &body["data"];
        assert_eq!((&data["id"], &data["status"]), (&json!(id), &json!("approved")));
        assert_eq!(data["delivery_id"], delivery);
        assert_eq!(data["phone"], first.json["phone"]);
        assert_eq!(data["expires_at"], first.json["expires_at"]);
        assert!(data["completed_at"].as_str() >= data["created_at"].as_str(), "{body}");
        let given = r#""reference":"r-1","metadata":{"cart":"7"}}}"#;
        assert!(hook.body.ends_with(given), "{}", hook.body);
        let mut words = hook.body.split(|c: char| !c.is_ascii_alphanumeric());
        assert!(words.all(|word| word != code(id, 6)), "{}", hook.body);
        assert_eq!(hook.header("x-nexo-delivery-id"), delivery);
        // Not that of the OTP's event: a receiver must not take one for the other.
        assert_eq!(hook.header("webhook-id"), id);
    }
    let otp = otps.next();
    assert_eq!(otp.json()["type"], "otp.failed");
    assert_eq!((otp.header("webhook-id"), otp.header("x-nexo-delivery-id")), (delivery, delivery));
    assert_eq!(otp.json().as_object().unwrap().len(), 11, "{}", otp.body);

    let second = started(&customer, "r-2").await;
    for left in (0..5).rev() {
        let checked = check(&customer, &second, &wrong_code(&second, 6)).await;
        assert_eq!(checked.json["attempts_left"], left);
    }
    for endpoint in [&all, &failed] {
        let body = endpoint.next().json();
        assert_eq!(body["type"], "verification.failed");
        assert_eq!(
            (&body["data"]["id"], &body["data"]["status"]),
            (&json!(second), &json!("failed"))
        );
    }

    // Several expire in one batch.
    let mut due = Vec::new();
    for reference in ["r-3", "r-4", "r-5"] {
        due.push(started(&customer, reference).await);
    }
    execute(
        &gateway,
        "UPDATE verifications SET expires_at_ms = created_at_ms + 1 WHERE status = 'pending'",
    )
    .await;
    let mut told = Vec::new();
    for _ in &due {
        let body = all.next().json();
        assert_eq!(body["type"], "verification.expired", "{body}");
        assert_eq!(body["data"]["completed_at"], body["data"]["expires_at"]);
        told.push(body["data"]["id"].as_str().unwrap().to_owned());
    }
    due.sort();
    told.sort();
    assert_eq!(told, due);

    // A customer that cancels a verification is not told what it did.
    let canceled = started(&customer, "r-6").await;
    assert_eq!(cancel(&customer, &canceled).await.json["status"], "canceled");
    let last = started(&customer, "r-7").await;
    approve(&customer, &last).await;
    assert_eq!(all.next().json()["data"]["id"], last);
    assert_eq!(approved.next().json()["data"]["id"], last);
    for endpoint in [&approved, &failed, &stranger] {
        assert!(endpoint.receiver.try_next().is_none());
    }
    gateway.audit();
}

#[per_database]
async fn a_replay_sends_the_same_event_again(backend: Backend) {
    let gateway = gateway(backend, &OPEN);
    let customer = gateway.customer("a@example.com", "1.00");
    let endpoint = endpoint(&gateway, "a@example.com", "verification.*");
    approve(&customer, &started(&customer, "r-1").await).await;
    let first = endpoint.next();
    let attempt = first.header("x-nexo-attempt-id");
    gateway.nexo(&["webhook", "replay", attempt]);
    let again = endpoint.next();
    assert_eq!(again.body, first.body);
    assert_ne!(again.header("x-nexo-attempt-id"), attempt);
    for name in ["webhook-id", "x-nexo-delivery-id", "x-nexo-event-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
}

#[per_database]
async fn an_event_whose_process_died_before_the_send_is_sent_once(backend: Backend) {
    let mut gateway = gateway(backend, &OPEN);
    let customer = gateway.customer("a@example.com", "1.00");
    let endpoint = endpoint(&gateway, "a@example.com", "verification.*");
    let id: VerificationId = started(&customer, "r-1").await.parse().unwrap();
    gateway.kill();
    // The process could commit the end, and died before it sent anything.
    let store = Store::connect(&gateway.database_url(), 1).await.unwrap();
    let account = store.accounts().by_email("a@example.com").await.unwrap().unwrap().id;
    let stored = store.verifications().get(account, id).await.unwrap().unwrap();
    let now_ms = stored.created_at_ms + 1;
    let approved = store.verifications().approve(id, stored.last_delivery_id, now_ms).await;
    assert_eq!(approved.unwrap().unwrap().webhooks, 1);
    store.close().await.unwrap();
    assert!(endpoint.receiver.try_next().is_none());
    gateway.restart();
    assert_eq!(endpoint.next().json()["data"]["id"], id.to_string());
    while attempts(&gateway, "delivered").await != 1 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gateway.kill_and_restart();
    let customer = Customer { api: format!("{}/api/v1", gateway.url), ..customer };
    let next = started(&customer, "r-2").await;
    approve(&customer, &next).await;
    assert_eq!(endpoint.next().json()["data"]["id"], next);
    assert_eq!(attempts(&gateway, "unknown").await + attempts(&gateway, "pending").await, 0);
}
