//! Webhooks: rotated secrets, and the events that endpoints choose.

use std::time::{Duration, Instant};

use harness::visitor::Visitor;
use harness::{Backend, Customer, Gateway, Receiver, client, per_database, phone};
use nexo_actors::clock::unix_ms;
use nexo_domain::webhook::HashedSecret;
use sea_orm::{ConnectionTrait, Database, Statement};

const PAGE: &str = "/dashboard/webhooks";
const OPEN: [(&str, &str); 2] =
    [("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")];
const DAY_MS: i64 = 24 * 3_600_000;

#[per_database]
async fn the_previous_secret_signs_for_a_day_after_a_rotation(backend: Backend) {
    let gateway = Gateway::start(backend, &OPEN);
    let receiver = Receiver::start();
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let created = lan.submit(PAGE, PAGE, &[("url", &receiver.url())]).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let id = lan.id_after(PAGE, "/dashboard/webhooks/").await;
    let path = format!("{PAGE}/{id}");
    let before_ms = unix_ms();
    let rotate = format!("{path}/rotate");
    let rotated = lan.submit(&rotate, &rotate, &[]).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text);
    let (old, new) = (HashedSecret::of(&created.secret()), HashedSecret::of(&rotated.secret()));

    let database = Database::connect(gateway.database_url()).await.unwrap();
    let until = Statement::from_string(
        database.get_database_backend(),
        "SELECT old_secret_until_ms FROM webhook_endpoints",
    );
    let row = database.query_one_raw(until).await.unwrap().unwrap();
    let until_ms: i64 = row.try_get_by_index(0).unwrap();
    let rotated_ms = before_ms..=unix_ms();
    assert!(rotated_ms.contains(&(until_ms - DAY_MS)), "{until_ms}");

    // Two minutes before the end of the 24 hours, and at the end.
    for (left_ms, signs_too) in [(120_000, true), (0, false)] {
        let until_ms = unix_ms() + left_ms;
        let moved = format!("UPDATE webhook_endpoints SET old_secret_until_ms = {until_ms}");
        database.execute_unprepared(&moved).await.unwrap();
        lan.submit(&path, &format!("{path}/test"), &[]).await;
        let hook = receiver.next();
        let body = hook.body.as_bytes();
        assert!(new.verify(body, hook.header("x-nexo-signature")));
        let previous = hook.header("x-nexo-signature-previous");
        let signatures = hook.header("webhook-signature").split(' ').count();
        match signs_too {
            true => assert!(old.verify(body, previous) && signatures == 2, "{hook:?}"),
            false => assert_eq!((previous, signatures), ("", 1), "{hook:?}"),
        }
    }
}

/// Calls a busy number. Returns the number of webhooks that its end queued.
async fn told_ends(customer: &Customer, lan: &mut Visitor) -> usize {
    let sent = customer.send(&phone(90), "482917").await;
    let id = sent.json["id"].as_str().unwrap_or_else(|| panic!("{}", sent.text));
    assert_eq!(customer.terminal(id).await.json["error_code"], "busy");
    let page = lan.get(&format!("/dashboard/deliveries/{id}")).await;
    page.text.matches("<code>otp.failed</code>").count()
}

#[per_database]
async fn an_endpoint_receives_only_the_events_that_it_chose(backend: Backend) {
    let gateway = Gateway::start(backend, &OPEN);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let credit = ["wallet", "credit", "--account", "lan@example.com", "--bucket", "balance"];
    gateway.nexo(&[&credit[..], &["--amount", "1.00", "--reference", "start"]].concat());
    let key = lan.new_key("test").await;
    let api = format!("{}/api/v1", gateway.url);
    let customer = Customer { key, key_id: String::new(), api, http: client() };
    let mut endpoints = Vec::new();
    for events in ["otp.*", "otp.failed", "otp.delivered", "verification.*"] {
        let receiver = Receiver::start();
        let add = ["webhook", "add", "--account", "lan@example.com", "--url", &receiver.url()];
        let added = gateway.nexo(&[&add[..], &["--events", events]].concat());
        endpoints.push((added["id"].as_str().unwrap().to_owned(), receiver));
    }
    assert_eq!(told_ends(&customer, &mut lan).await, 2);
    for (_, receiver) in &endpoints[..2] {
        let hook = receiver.next();
        assert_eq!(hook.header("x-nexo-event-type"), "otp.failed");
        assert_eq!(hook.json()["type"], "otp.failed");
    }

    // The running gateway notices a change within a second.
    let path = format!("{PAGE}/{}", endpoints[2].0);
    lan.submit(&path, &format!("{path}/events"), &[("events", "otp.failed")]).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut told = 2;
    while told == 2 {
        assert!(Instant::now() < deadline, "the change was not noticed");
        told = told_ends(&customer, &mut lan).await;
    }
    assert_eq!(told, 3);
    assert_eq!(endpoints[2].1.next().json()["type"], "otp.failed");
    assert!(endpoints[3].1.try_next().is_none());
    gateway.audit();
}
