//! Tests of the page that sends a test OTP, and of the documentation beside it.

use std::time::Duration;

use harness::visitor::{PageResponse, Visitor, between};
use harness::{Backend, Gateway, Receiver, until};

const PAGE: &str = "/dashboard/test-otp";
const OPEN: [(&str, &str); 2] =
    [("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")];

async fn create_test_key(visitor: &mut Visitor) -> String {
    let fields = [("name", "test"), ("kind", "test")];
    let seen = visitor.submit("/dashboard/api-keys", "/dashboard/api-keys", &fields).await;
    assert_eq!(seen.status, 201, "{}", seen.text);
    let page = visitor.get(PAGE).await;
    let keys = between(&page.text, "<select id=\"key\"", "</select>").unwrap();
    between(keys, "value=\"", "\"").unwrap().to_owned()
}

async fn send(visitor: &mut Visitor, key: &str, ending: &str, code: &str) -> PageResponse {
    let fields = [("key", key), ("ending", ending), ("code", code)];
    visitor.submit("/dashboard/settings", PAGE, &fields).await
}

#[actix_web::test]
async fn a_test_otp_is_sent_as_the_api_sends_it() {
    let settings = [("NEXO_QUOTAS__TEST_OTPS_PER_DAY", "4"), ("NEXO_CALLS__REPEAT", "1")];
    let gateway = Gateway::start(Backend::Sqlite, &[&OPEN[..], &settings].concat());
    let receiver = Receiver::start();
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    gateway.add_webhook("lan@example.com", &receiver.url());
    lan.get(PAGE).await.must_contain("/dashboard/api-keys?kind=test#new");
    lan.get("/dashboard/api-keys?kind=test").await.must_contain("value=\"test\" selected");
    let key = create_test_key(&mut lan).await;

    // The outcome that the ending selects, on the page that follows the call and at the webhook.
    for (ending, outcome) in [("90", "busy"), ("67", "delivered")] {
        let sent = send(&mut lan, &key, ending, "482917").await;
        assert_eq!(sent.status, 303, "{}", sent.text);
        let page = sent.location().to_owned();
        assert!(page.starts_with("/dashboard/deliveries/"), "{page}");
        until("the call ends", Duration::from_secs(60), async || {
            let seen = lan.clone().get(&page).await;
            (!seen.text.contains("data-live")).then_some(())
        })
        .await;
        let seen = lan.get(&page).await;
        seen.must_contain(outcome).must_contain("$0.00");
        assert!(receiver.next().body.contains(page.rsplit('/').next().unwrap()));
    }
    // A refusal is shown as a program gets it.
    let refused = send(&mut lan, &key, "95", "482917").await;
    refused.must_contain("The API answered 502").must_contain("no_route");
    let refused = send(&mut lan, &key, "67", "12").await;
    assert_eq!(refused.status, 400);
    refused.must_contain("invalid_code");

    // It counts towards the quota of test OTPs.
    assert_eq!(send(&mut lan, &key, "90", "482917").await.status, 303);
    let refused = send(&mut lan, &key, "90", "482917").await;
    assert_eq!(refused.status, 429);
    refused.must_contain("test_otps of 4");
    lan.get("/dashboard/wallet").await.must_contain("$0.11");
    gateway.audit();
}

#[actix_web::test]
async fn only_an_own_active_test_key_sends_a_test_otp() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let key = create_test_key(&mut lan).await;
    lan.new_key("server").await;
    let page = lan.get("/dashboard/api-keys").await;
    let live = page.text.split("/dashboard/api-keys/").map(|rest| rest.chars().take(36).collect());
    let live: Vec<String> = live.filter(|id: &String| uuid::Uuid::parse_str(id).is_ok()).collect();
    let live = live.iter().find(|id| **id != key).unwrap().clone();
    let mut eve = Visitor::signed_up(&gateway, "eve@example.com").await;
    let none = String::new();
    for (is_eve, key) in [(true, &key), (false, &live), (false, &none)] {
        let visitor = if is_eve { &mut eve } else { &mut lan };
        let refused = send(visitor, key, "90", "482917").await;
        assert_eq!(refused.status, 400, "{}", refused.text);
        refused.must_contain("does not exist or was revoked");
    }
    let path = format!("/dashboard/api-keys/{key}/revoke");
    lan.submit(&path, &path, &[]).await;
    assert_eq!(send(&mut lan, &key, "90", "482917").await.status, 400);
    lan.get("/dashboard/deliveries").await.must_contain("No deliveries yet");
}

#[actix_web::test]
async fn the_documentation_has_examples_parameters_and_errors_in_both_languages() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let page = lan.get("/dashboard/docs").await;
    page.must_contain("export NEXO_KEY=sk_test_…<");
    for language in ["curl", "node", "python", "php", "go"] {
        page.must_contain(&format!("id=\"example-{language}\""));
        page.must_contain(&format!("class=\"tab-{language}\""));
    }
    for part in ["idempotency_conflict", "headers_too_large", "Idempotency-Key", "next_cursor"] {
        page.must_contain(part);
    }
    create_test_key(&mut lan).await;
    let page = lan.get("/dashboard/docs?lang=vi").await;
    assert!(!page.text.contains("export NEXO_KEY=sk_test_…<"), "{}", page.text);
    page.must_contain("export NEXO_KEY=sk_test_…").must_contain("Mã cần đọc");
}
