//! Tests of the quotas of the API: test OTPs, CSV exports and stored refusals, and the retention of test records.

use std::time::Duration;

use harness::past::Past;
use harness::visitor::Visitor;
use harness::{Answer, Backend, Customer, Gateway, answer, client, per_database, phone, until};
use serde_json::Value;

const LAN: &str = "lan@example.com";
const TIMEOUT: Duration = Duration::from_secs(20);

/// Asserts a 429 that names the used-up quota and when to retry.
fn must_be_used_up(refused: &Answer, quota: &str, limit: u32) {
    assert_eq!((refused.status, refused.error()), (429, "quota_exceeded"), "{}", refused.text);
    assert_eq!(refused.json["quota"], quota);
    assert_eq!(refused.json["limit"], limit);
    let seconds = refused.json["retry_after_seconds"].as_u64().unwrap();
    assert!((1..=86_400).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("retry-after"), Some(&*seconds.to_string()));
    let resets_at = refused.json["resets_at"].as_str().unwrap();
    let message = refused.json["message"].as_str().unwrap();
    assert!(message.contains(quota) && message.contains(resets_at), "{message}");
}

/// What `nexo account quota` shows of a quota.
fn shown(gateway: &Gateway, kind: &str) -> Value {
    let quotas = gateway.nexo(&["account", "quota", "--account", LAN]);
    let quotas = quotas["quotas"].as_array().unwrap().clone();
    quotas.into_iter().find(|quota| quota["quota"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// The statuses of OTPs to `count` busy phones.
async fn statuses(customer: &Customer, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(customer.send(&phone(90), "1234").await.status);
    }
    statuses
}

#[per_database]
async fn a_used_up_quota_of_test_otps_is_refused_also_after_a_restart(backend: Backend) {
    let mut gateway = Gateway::start(backend, &[("NEXO_QUOTAS__TEST_OTPS_PER_DAY", "3")]);
    let live = gateway.customer(LAN, "1.00");
    let test = gateway.with_test_key(&live, LAN);
    let to = phone(90);
    assert_eq!(test.send(&to, "1234").await.status, 202);
    // A request that the phone's window refuses leaves no record and does not count.
    let again = test.send(&to, "1234").await;
    assert_eq!((again.status, again.error()), (429, "rate_limited"));
    assert_eq!(statuses(&test, 2).await, [202, 202]);
    let refused = test.send(&phone(90), "1234").await;
    must_be_used_up(&refused, "test_otps", 3);
    let resets_at = refused.json["resets_at"].as_str().unwrap();
    assert!(resets_at.ends_with("T00:00:00Z"), "{resets_at}");
    // Invalid requests are refused as before, and a live OTP is not counted.
    assert_eq!(test.send("+84", "1234").await.error(), "invalid_phone");
    assert_eq!(statuses(&live, 4).await, [202; 4]);
    assert!(gateway.metric("nexo_quota_refusals_total").await >= 1.0);

    assert_eq!(gateway.terminate(), Some(0));
    gateway.restart();
    let test = Customer { api: format!("{}/api/v1", gateway.url), ..test };
    must_be_used_up(&test.send(&phone(90), "1234").await, "test_otps", 3);
    assert_eq!(shown(&gateway, "test_otps")["used"], 3);
}

#[per_database]
async fn an_own_limit_of_an_account_applies_within_a_second(backend: Backend) {
    let gateway = Gateway::start(backend, &[("NEXO_QUOTAS__TEST_OTPS_PER_DAY", "1")]);
    let live = gateway.customer(LAN, "0");
    let test = gateway.with_test_key(&live, LAN);
    assert_eq!(statuses(&test, 2).await, [202, 429]);
    let set = ["account", "quota", "--account", LAN, "--kind", "test_otps"];
    let quotas = gateway.nexo(&[&set[..], &["--limit", "2"]].concat());
    assert_eq!(quotas["quotas"][0]["limit"], 2, "{quotas}");
    assert_eq!(quotas["quotas"][0]["own"], true);
    until("the own limit", Duration::from_secs(5), async || {
        (test.send(&phone(90), "1234").await.status == 202).then_some(())
    })
    .await;
    must_be_used_up(&test.send(&phone(90), "1234").await, "test_otps", 2);
    until("the written count", TIMEOUT, async || {
        (shown(&gateway, "test_otps")["used"] == 2).then_some(())
    })
    .await;
    gateway.nexo(&[&set[..], &["--default"]].concat());
    assert_eq!(shown(&gateway, "test_otps")["limit"], 1);
    let actions = gateway.nexo(&["operator", "actions", "--account", LAN]);
    assert_eq!(actions["actions"][0]["action"], "quota", "{actions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_test_otps_is_slowed_down() {
    let settings = [("NEXO_QUOTAS__TEST_OTPS_PER_MINUTE", "2")];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let live = gateway.customer(LAN, "1.00");
    let test = gateway.with_test_key(&live, LAN);
    assert_eq!(statuses(&test, 2).await, [202, 202]);
    let refused = test.send(&phone(90), "1234").await;
    must_be_used_up(&refused, "test_otps_per_minute", 2);
    assert!(refused.json["retry_after_seconds"].as_u64().unwrap() <= 30);
    assert_eq!(statuses(&live, 4).await, [202; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn test_otps_of_two_nodes_count_together() {
    let gateway = Gateway::start(Backend::Postgres, &[("NEXO_QUOTAS__TEST_OTPS_PER_DAY", "5")]);
    let live = gateway.customer(LAN, "0");
    let test = gateway.with_test_key(&live, LAN);
    let second = gateway.beside(&[("NEXO_CLUSTER__NODE", "n2")]);
    let on_second = Customer { api: format!("{}/api/v1", second.url), ..test.clone() };
    assert_eq!(statuses(&test, 4).await, [202; 4]);
    until("the first node's count", TIMEOUT, async || {
        (shown(&gateway, "test_otps")["used"] == 4).then_some(())
    })
    .await;
    // The second node learns of the first one's count when it writes its own.
    assert_eq!(statuses(&on_second, 1).await, [202]);
    until("the second node's count", TIMEOUT, async || {
        (shown(&gateway, "test_otps")["used"] == 5).then_some(())
    })
    .await;
    until("the refusal", TIMEOUT, async || {
        (on_second.send(&phone(90), "1234").await.status == 429).then_some(())
    })
    .await;
}

#[per_database]
async fn exports_and_stored_refusals_are_counted_and_a_reload_changes_the_limits(backend: Backend) {
    let file = |exports: u32| {
        format!("[quotas]\nexports_per_day = {exports}\nstored_refusals_per_day = 2\n")
    };
    let gateway = Gateway::configured(backend, &file(2), &[]);
    let mut lan = Visitor::signed_up(&gateway, LAN).await;
    let customer = Customer {
        key: lan.new_key("server").await,
        key_id: String::new(),
        api: format!("{}/api/v1", gateway.url),
        http: client(),
    };
    let export = async |path: &str| {
        let request = client().get(format!("{}/{path}", customer.api));
        let request = request.bearer_auth(&customer.key);
        answer(request.header("Accept", "text/csv")).await
    };
    assert_eq!(export("deliveries").await.status, 200);
    assert_eq!(lan.get("/dashboard/wallet/ledger.csv").await.status, 200);
    must_be_used_up(&export("ledger").await, "exports", 2);
    for path in ["wallet/ledger.csv", "deliveries.csv"] {
        let seen = lan.get(&format!("/dashboard/{path}")).await;
        assert_eq!(seen.status, 429, "{path}");
        assert!(!seen.header("retry-after").is_empty());
        seen.must_contain("exports");
    }
    assert_eq!(customer.get("ledger").await.status, 200);
    let page = lan.get("/dashboard/limits").await;
    page.must_contain("CSV exports").must_contain("<code class=\"faint\">exports</code>");

    let refused = async |key: &str| {
        let request = customer.otp_request(r#"{"phone":"+84","code":"1234"}"#);
        answer(request.header("Idempotency-Key", key)).await
    };
    assert_eq!(refused("one").await.status, 400);
    assert_eq!(refused("two").await.status, 400);
    must_be_used_up(&refused("three").await, "stored_refusals", 2);
    // Stored ones are replayed, and without a key nothing is stored.
    let replayed = refused("one").await;
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    assert_eq!(customer.send("+84", "1234").await.status, 400);

    gateway.reload(&file(3));
    until("the new limit", TIMEOUT, async || (export("ledger").await.status == 200).then_some(()))
        .await;
    must_be_used_up(&export("ledger").await, "exports", 3);
}

#[per_database]
async fn old_records_of_test_keys_are_deleted_and_live_ones_stay(backend: Backend) {
    let gateway = Gateway::start(backend, &[("NEXO_TEST_RETENTION_MS", "200")]);
    let live = gateway.customer(LAN, "1.00");
    let mut past = Past::of(&gateway, &live, LAN).await;
    past.deliveries(2).await;
    let old = past.test_delivery(77).await;
    let sent = gateway.with_test_key(&live, LAN).send(&phone(90), "1234").await;
    let young = sent.json["id"].as_str().unwrap().to_owned();
    until("the deletion", TIMEOUT, async || {
        let found = live.get(&format!("deliveries/{old}")).await;
        (found.status == 404).then_some(())
    })
    .await;
    live.terminal(&young).await;
    let listed = live.get("deliveries").await;
    assert_eq!(listed.json["deliveries"].as_array().unwrap().len(), 3);
    assert!(gateway.metric("nexo_deleted_test_records_total").await >= 1.0);
    gateway.audit();
}
