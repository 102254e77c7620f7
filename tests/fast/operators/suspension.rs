//! Tests of suspended accounts: they send, make and receive nothing, and lose nothing.

use std::time::Duration;

use super::{ROOT, id_of, operator, wait_for_status};
use harness::mailbox::Mailbox;
use harness::visitor::{PASSWORD, Visitor, between};
use harness::waiting::{BANK, top_up};
use harness::{Backend, Customer, Gateway, Receiver, client, per_database, phone, until};
use nexo_domain::webhook::HashedSecret;
use serde_json::json;

const LAN: &str = "lan@example.com";
const TIMEOUT: Duration = Duration::from_secs(20);
const SETTINGS: [(&str, &str); 3] = [
    ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
    ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
    ("NEXO_CALLS__RING_TIMEOUT_SECONDS", "5"),
];

fn suspend(gateway: &Gateway, email: &str) {
    let suspend = ["account", "suspend", "--account", email, "--reason", "spam"];
    gateway.nexo(&suspend);
}

async fn customer_of(gateway: &Gateway, lan: &mut Visitor) -> Customer {
    Customer {
        key: lan.new_key("server").await,
        key_id: String::new(),
        api: format!("{}/api/v1", gateway.url),
        http: client(),
    }
}

#[per_database]
async fn the_webhooks_of_a_suspended_account_are_sent_when_it_is_resumed(backend: Backend) {
    let gateway = Gateway::start(backend, &SETTINGS);
    let receiver = Receiver::start();
    let mut lan = Visitor::signed_up(&gateway, LAN).await;
    let customer = customer_of(&gateway, &mut lan).await;
    gateway.add_webhook(LAN, &receiver.url());
    // The phone rings until the timeout; the account is suspended meanwhile.
    let sent = customer.send(&phone(91), "1234").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    suspend(&gateway, LAN);
    wait_for_status(&customer, 403).await;
    let delivery = format!("/dashboard/deliveries/{}", sent.json["id"].as_str().unwrap());
    until("the webhook in the outbox", TIMEOUT, async || {
        let seen = lan.get(&delivery).await;
        seen.text.contains(">pending<").then_some(())
    })
    .await;
    // The outbox is scanned once a second.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(receiver.try_next().is_none());
    lan.get(&delivery).await.must_contain(">pending<");
    gateway.nexo(&["account", "resume", "--account", LAN]);
    assert_eq!(receiver.next().header("x-nexo-event-type"), "otp.failed");
    wait_for_status(&customer, 200).await;
    gateway.audit();
}

#[per_database]
async fn a_suspended_account_can_sign_in_and_read_and_nothing_else(backend: Backend) {
    let gateway = Gateway::start(backend, &SETTINGS);
    let mut lan = Visitor::signed_up(&gateway, LAN).await;
    let customer = customer_of(&gateway, &mut lan).await;
    let test = gateway.with_test_key(&customer, LAN);
    let hook = gateway.add_webhook(LAN, "http://127.0.0.1:9/hook");
    let hook = format!("/dashboard/webhooks/{}", hook["id"].as_str().unwrap());
    suspend(&gateway, LAN);
    wait_for_status(&customer, 403).await;
    for customer in [&customer, &test] {
        let refused = customer.send(&phone(90), "1234").await;
        assert_eq!((refused.status, refused.error()), (403, "account_suspended"));
        assert_eq!(customer.get("deliveries").await.error(), "account_suspended");
    }
    let mut again = Visitor::of(&gateway);
    assert_eq!(again.sign_in(LAN, PASSWORD).await.status, 303);
    for page in ["/dashboard", "/dashboard/deliveries", "/dashboard/limits"] {
        let seen = again.get(page).await;
        assert_eq!(seen.status, 200, "{page}");
        seen.must_contain("This account is suspended");
    }
    let url = [("url", "http://127.0.0.1:9/h")];
    let key = [("name", "two"), ("kind", "live")];
    let email = [("email", "x@example.com"), ("confirm", PASSWORD)];
    let forms: [(&str, &[(&str, &str)]); 10] = [
        ("/dashboard/api-keys", &key),
        ("/dashboard/webhooks", &url),
        (&format!("{hook}/test"), &[]),
        (&format!("{hook}/resume"), &[]),
        ("/dashboard/wallet/top-up", &[("amount", "10.00")]),
        ("/dashboard/wallet/low-balance", &[("threshold", "1.00")]),
        ("/dashboard/settings/email", &email),
        ("/dashboard/settings/%65mail", &email),
        ("/dashboard/%73ettings/em%61il", &email),
        ("/auth/confirm-email", &[("token", "x")]),
    ];
    for (path, fields) in forms {
        let seen = again.submit("/dashboard/settings", path, fields).await;
        assert_eq!(seen.status, 403, "{path}");
        seen.must_contain("This account is suspended");
    }
    // What protects the account stays possible.
    let password = [("present", PASSWORD), ("new", "another good password")];
    let settings = "/dashboard/settings";
    let path = format!("{settings}/password");
    let seen = again.submit(settings, &path, &password).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    let keys = "/dashboard/api-keys";
    let id = again.id_after(keys, "/dashboard/api-keys/").await;
    let revoke = format!("{keys}/{id}/revoke");
    assert_eq!(again.submit(&revoke, &revoke, &[]).await.status, 303);
    assert_eq!(again.submit(settings, "/auth/sign-out", &[]).await.status, 303);
}

#[per_database]
async fn a_link_does_not_change_the_address_of_a_suspended_account(backend: Backend) {
    let mailbox = Mailbox::start();
    let gateway = Gateway::start(backend, &[("NEXO_MAIL__SMTP_URL", &mailbox.url())]);
    gateway.nexo(&["account", "create", "--email", LAN, "--password", PASSWORD]);
    let mut lan = Visitor::of(&gateway);
    assert_eq!(lan.sign_in(LAN, PASSWORD).await.status, 303);
    let new = "new@example.com";
    let fields = [("email", new), ("confirm", PASSWORD)];
    let seen = lan.submit("/dashboard/settings", "/dashboard/settings/email", &fields).await;
    assert_eq!(seen.location(), "/dashboard/settings?sent=1", "{}", seen.text);
    let email = mailbox.wait_for(new, 1).await;
    let link = "/auth/confirm-email?token=";
    let token = between(&email.text, link, "\n").unwrap().trim().to_owned();
    let page = format!("{link}{token}");
    suspend(&gateway, LAN);
    let mut stranger = Visitor::of(&gateway);
    for visitor in [&mut lan, &mut stranger] {
        let seen = visitor.submit(&page, "/auth/confirm-email", &[("token", &token)]).await;
        assert_eq!(seen.status, 403, "{}", seen.text);
        seen.must_contain("This account is suspended");
    }
    id_of(&gateway, LAN);
    // The link works after the suspension.
    gateway.nexo(&["account", "resume", "--account", LAN]);
    let seen = stranger.submit(&page, "/auth/confirm-email", &[("token", &token)]).await;
    assert_eq!((seen.status, seen.location()), (303, "/auth/sign-in"), "{}", seen.text);
    id_of(&gateway, new);
}

#[per_database]
async fn a_payment_to_a_suspended_account_waits_for_an_operator(backend: Backend) {
    let gateway = Gateway::start(backend, &BANK);
    let customer = gateway.customer(LAN, "0");
    let (_, reference) = top_up(&gateway, LAN, "10.00");
    suspend(&gateway, LAN);
    let body = json!({ "transaction_id": "FT1", "amount": 250_000, "memo": reference });
    let body = body.to_string();
    let secret = BANK[4].1.to_owned();
    let signature = HashedSecret::from_record(secret).sign(body.as_bytes());
    let url = format!("{}/api/v1/bank-notifications", gateway.url);
    let request = client().post(url).header("X-NEXO-Bank-Signature", signature);
    let taken = harness::answer(request.body(body)).await;
    assert_eq!(taken.json["status"], "kept", "{}", taken.text);
    let waiting = gateway.nexo(&["deposit", "list"]);
    let reason = &waiting["payments"][0]["reason"];
    assert_eq!(reason, "account_suspended", "{waiting}");
    let mut operator = operator(&gateway).await;
    let page = operator.get(&format!("{ROOT}/deposits")).await;
    page.must_contain("account suspended");
    gateway.nexo(&["account", "resume", "--account", LAN]);
    wait_for_status(&customer, 200).await;
    assert_eq!(customer.balance().await.1, "0.000");
    gateway.audit();
}

#[actix_web::test]
async fn a_suspended_operator_has_no_operator_pages() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut operator = operator(&gateway).await;
    let accounts = format!("{ROOT}/accounts");
    assert_eq!(operator.get(&accounts).await.status, 200);
    suspend(&gateway, "op@example.com");
    assert_eq!(operator.get(&accounts).await.status, 404);
    let id = id_of(&gateway, "op@example.com");
    let resume = format!("{accounts}/{id}/resume");
    let seen = operator.submit("/dashboard/settings", &resume, &[]).await;
    assert_eq!(seen.status, 404);
}
