//! Tests each row of the API contract's tables on both databases.

use std::collections::HashSet;

use harness::{
    Answer, Backend, Gateway, Receiver, answer, client, number, per_database, phone, until,
};
use serde_json::Value;

const WEBHOOKS_OPEN: [(&str, &str); 2] =
    [("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")];
/// The code is read once, so that a call takes about six seconds.
const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");

fn assert_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!((answer.status, answer.error()), (status, error), "{}", answer.text);
    assert_eq!(answer.json["ok"], false);
    assert!(!answer.json["message"].as_str().unwrap().is_empty());
    assert!(answer.header("x-request-id").is_some());
}

#[per_database]
async fn malformed_requests_are_refused_in_the_order_of_the_contract(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let url = format!("{}/api/v1/send-otp", gateway.url);
    let bare = |authorization: Option<&str>| {
        let request = client().post(&url).body("no JSON");
        match authorization {
            Some(value) => request.header("Authorization", value),
            None => request,
        }
    };
    let missing = answer(bare(None)).await;
    assert_error(&missing, 401, "missing_auth");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
    assert_error(&answer(bare(Some("Basic eDp5"))).await, 401, "missing_auth");
    for key in ["Bearer ", "Bearer sk_live_nonsense", "Bearer x"] {
        assert_error(&answer(bare(Some(key))).await, 401, "invalid_key");
    }
    for body in ["no JSON", "[]", "\"x\"", "", "null", "[\"+84981234567\",\"1234\"]"] {
        assert_error(&customer.post(body).await, 400, "invalid_request");
    }
    let large = format!("{{\"phone\":\"{}\"}}", "9".repeat(17_000));
    assert_error(&customer.post(&large).await, 413, "payload_too_large");
    for phone in [
        "{}",
        r#"{"phone":84981234567,"code":"1234"}"#,
        r#"{"phone":null,"code":"1234"}"#,
        r#"{"phone":"0981234567","code":"1234"}"#,
        r#"{"phone":"+84 981234567","code":"1234"}"#,
        r#"{"phone":"+84241234567","code":"1234"}"#,
        r#"{"phone":"+8498123456","code":"12"}"#,
    ] {
        assert_error(&customer.post(phone).await, 400, "invalid_phone");
    }
    for code in [
        r#"{"phone":"+84981234567"}"#,
        r#"{"phone":"+84981234567","code":1234}"#,
        r#"{"phone":"+84981234567","code":"123"}"#,
        r#"{"phone":"+84981234567","code":"123456789"}"#,
        r#"{"phone":"+84981234567","code":"12a4"}"#,
        r#"{"phone":"+84981234567","code":"١٢٣٤"}"#,
    ] {
        assert_error(&customer.post(code).await, 400, "invalid_code");
    }
    let got = answer(client().get(&url)).await;
    assert_error(&got, 405, "method_not_allowed");
    assert_eq!(got.header("allow"), Some("POST, OPTIONS"));
    for probe in ["healthz", "readyz"] {
        let posted = answer(client().post(format!("{}/{probe}", gateway.url))).await;
        assert_error(&posted, 405, "method_not_allowed");
        assert_eq!(posted.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    let unknown = answer(client().get(format!("{}/nowhere", gateway.url))).await;
    assert_error(&unknown, 404, "not_found");
    assert_eq!(customer.balance().await, ("1.000".into(), "1.000".into()));
    gateway.audit();
}

#[per_database]
async fn call_ledger_delivery_and_webhook_of_an_otp_agree(backend: Backend) {
    let gateway = Gateway::start(backend, &[WEBHOOKS_OPEN[0], WEBHOOKS_OPEN[1], QUICK]);
    let customer = gateway.customer("a@example.com", "10.00");
    let receiver = Receiver::start();
    let url = receiver.url();
    let hook = gateway.add_webhook("a@example.com", &url);
    let secret = hook["secret"].as_str().unwrap();
    let to = phone(67);
    let sent = customer.send(&to, "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_eq!(sent.json["status"], "sent");
    assert_eq!(sent.json["carrier"], "viettel");
    assert_eq!(number(&sent.text, "cost"), "0.022");
    assert_eq!(number(&sent.text, "balance"), "9.978");
    assert_eq!(number(&sent.text, "total"), "9.978");
    let id = sent.json["id"].as_str().unwrap();
    let while_sent = customer.get(&format!("deliveries/{id}")).await;
    assert_eq!(while_sent.json["carrier_status"], Value::Null);
    assert_eq!(while_sent.json["completed_at"], Value::Null);
    let again = customer.send(&to, "482917").await;
    assert_error(&again, 429, "rate_limited");
    let seconds = again.json["retry_after_seconds"].as_u64().unwrap();
    assert!((1..=30).contains(&seconds));
    assert_eq!(again.header("retry-after"), Some(&*seconds.to_string()));
    let ended = customer.terminal(id).await;
    assert_eq!(ended.json["status"], "delivered");
    assert_eq!(ended.json["carrier_status"], "success");
    assert_eq!(ended.json["error_code"], Value::Null);
    assert_eq!(ended.json["phone"], to);
    let hook = receiver.next();
    assert_eq!(hook.header("x-nexo-event-type"), "otp.delivered");
    assert_eq!(hook.header("x-nexo-delivery-id"), id);
    assert_eq!(hook.header("user-agent"), "NEXO-ROUTE/1.0");
    assert!(!hook.header("x-nexo-attempt-id").is_empty());
    assert_eq!(hook.header("webhook-id"), id);
    let hashed = nexo_domain::webhook::HashedSecret::of(secret);
    assert!(hashed.verify(hook.body.as_bytes(), hook.header("x-nexo-signature")));
    assert!(!hashed.verify(format!("{} ", hook.body).as_bytes(), hook.header("x-nexo-signature")));
    assert_eq!(hook.json()["completed_at"], ended.json["completed_at"]);
    assert_eq!(customer.balance().await, ("9.978".into(), "9.978".into()));
    gateway.audit();
}

/// The result of an OTP to a sandbox number with these last two digits.
struct Case {
    last_two: u32,
    status: u16,
    error: &'static str,
    /// For an accepted OTP: its error code, the carrier's status, and whether it is charged.
    outcome: Option<(&'static str, &'static str, bool)>,
}

const CASES: [Case; 10] = [
    Case { last_two: 90, status: 202, error: "", outcome: Some(("busy", "busy", true)) },
    Case { last_two: 91, status: 202, error: "", outcome: Some(("no_answer", "no_answer", true)) },
    Case { last_two: 92, status: 202, error: "", outcome: Some(("declined", "declined", true)) },
    Case {
        last_two: 93,
        status: 202,
        error: "",
        outcome: Some(("invalid_number", "invalid_number", false)),
    },
    Case {
        last_two: 94,
        status: 202,
        error: "",
        outcome: Some(("unreachable", "unreachable", false)),
    },
    Case { last_two: 95, status: 502, error: "no_route", outcome: None },
    Case { last_two: 96, status: 429, error: "no_route", outcome: None },
    Case { last_two: 97, status: 502, error: "no_route", outcome: None },
    Case {
        last_two: 98,
        status: 202,
        error: "",
        outcome: Some(("partial_playback", "hangup", true)),
    },
    Case { last_two: 99, status: 202, error: "", outcome: Some(("", "success", true)) },
];

#[per_database]
async fn every_sandbox_number_has_its_documented_outcome_and_charge(backend: Backend) {
    let settings = [QUICK, ("NEXO_CALLS__RING_TIMEOUT_SECONDS", "3")];
    let gateway = Gateway::start(backend, &settings);
    let mut calls = Vec::new();
    for case in &CASES {
        let customer = gateway.customer(&format!("c{}@example.com", case.last_two), "1.00");
        calls.push(tokio::spawn(async move { check(case, &customer).await }));
    }
    for call in calls {
        call.await.unwrap();
    }
    gateway.audit();
}

async fn check(case: &Case, customer: &harness::Customer) {
    let to = phone(case.last_two);
    let started = std::time::Instant::now();
    let sent = customer.send(&to, "4829").await;
    if case.last_two == 97 {
        // Without another gateway to try, the only one gets the whole dispatch timeout, limited by the ring timeout.
        let waited = started.elapsed();
        assert!(waited >= std::time::Duration::from_secs(3), "{waited:?}");
    }
    assert_eq!(sent.status, case.status, "{} {}", case.last_two, sent.text);
    let is_charged = case.outcome.is_some_and(|(_, _, is_charged)| is_charged);
    if let Some((error_code, carrier_status, _)) = case.outcome {
        let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
        let delivered = error_code.is_empty();
        assert_eq!(ended.json["status"], if delivered { "delivered" } else { "failed" });
        assert_eq!(ended.json["error_code"].as_str().unwrap_or(""), error_code);
        assert_eq!(ended.json["carrier_status"], carrier_status);
    } else {
        assert_eq!(sent.error(), case.error);
        if case.status == 502 {
            let id = sent.json["id"].as_str().unwrap();
            let ended = customer.get(&format!("deliveries/{id}")).await;
            assert_eq!(ended.json["status"], "failed");
        } else {
            assert_eq!(sent.json["retry_after_seconds"], 17);
            assert_eq!(sent.header("retry-after"), Some("17"));
        }
        // The phone's window was released: the carrier refuses the second OTP, not the rate limit.
        let again = customer.send(&to, "4829").await;
        assert_eq!((again.status, again.error()), (case.status, case.error));
    }
    let left = if is_charged { "0.978" } else { "1.000" };
    assert_eq!(customer.balance().await.1, left, "{}", case.last_two);
}

#[per_database]
async fn of_a_hundred_requests_for_one_phone_exactly_one_is_accepted(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "10.00");
    let to = phone(11);
    let answers = at_once(100, |_| {
        let (customer, to) = (customer.clone(), to.clone());
        async move { customer.send(&to, "1234").await.status }
    })
    .await;
    assert_eq!(count(&answers, 202), 1);
    assert_eq!(count(&answers, 429), 99);
    assert_eq!(customer.balance().await.1, "9.978");
    gateway.audit();
}

#[per_database]
async fn funds_for_ten_pay_exactly_ten_of_two_hundred(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "0.22");
    let answers = at_once(200, |_| {
        let customer = customer.clone();
        async move { customer.send(&phone(22), "1234").await.status }
    })
    .await;
    assert_eq!(count(&answers, 202), 10, "{answers:?}");
    assert_eq!(count(&answers, 402), 190);
    assert_eq!(customer.balance().await, ("0.000".into(), "0.000".into()));
    let short = customer.send(&phone(22), "1234").await;
    assert_error(&short, 402, "insufficient_balance");
    assert_eq!(number(&short.text, "cost"), "0.022");
    assert_eq!(number(&short.text, "total"), "0.000");
    let top_up = short.json["deposit_url"].as_str().unwrap();
    assert!(top_up.ends_with("/dashboard/wallet/top-up"), "{top_up}");
    gateway.audit();
}

async fn at_once<F, R>(count: usize, make: impl Fn(usize) -> F) -> Vec<R>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|n| tokio::spawn(make(n))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

fn count(answers: &[u16], status: u16) -> usize {
    answers.iter().filter(|answer| **answer == status).count()
}

#[per_database]
async fn free_credit_is_spent_first_and_refunds_go_to_their_bucket(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    for (bucket, amount) in [("free", "0.010"), ("bonus", "0.005")] {
        gateway.nexo(&[
            "wallet",
            "credit",
            "--account",
            "a@example.com",
            "--bucket",
            bucket,
            "--amount",
            amount,
            "--reference",
            bucket,
        ]);
    }
    let buckets = || async {
        let text = customer.get("balance").await.text;
        ["free_credit", "bonus_credit", "balance", "total"].map(|b| number(&text, b))
    };
    let refused = customer.send(&phone(95), "1234").await;
    assert_error(&refused, 502, "no_route");
    assert_eq!(buckets().await, ["0.010", "0.005", "1.000", "1.015"]);
    let charged = customer.send(&phone(90), "1234").await;
    assert_eq!(charged.status, 202);
    assert_eq!(buckets().await, ["0.000", "0.000", "0.993", "0.993"]);
    gateway.audit();
}

#[per_database]
async fn a_key_obeys_its_allowlist_and_its_revocation_takes_effect_within_a_second(
    backend: Backend,
) {
    // The proxy is on loopback, and Cloudflare connects to it from this address.
    let ranges = ("NEXO_SERVER__CLOUDFLARE_RANGES", r#"["192.0.2.0/24"]"#);
    let gateway = Gateway::start(backend, &[ranges]);
    gateway.customer("a@example.com", "1.00");
    let key = gateway.nexo(&[
        "key",
        "create",
        "--account",
        "a@example.com",
        "--name",
        "office",
        "--allow",
        "203.0.113.0/24",
        "--allow",
        "2001:db8::7",
    ]);
    let secret = key["key"].as_str().unwrap().to_owned();
    let from = |header: &'static str, value: &'static str| {
        let request = client().get(format!("{}/api/v1/balance", gateway.url)).bearer_auth(&secret);
        answer(request.header(header, value))
    };
    let refused = from("X-Forwarded-For", "198.51.100.9").await;
    assert_error(&refused, 403, "ip_not_allowed");
    assert_eq!(refused.json["detected_ip"], "198.51.100.9");
    for (header, value) in [
        ("X-Forwarded-For", "198.51.100.9, 203.0.113.7"),
        ("X-Forwarded-For", "::ffff:203.0.113.7"),
    ] {
        assert_eq!(from(header, value).await.status, 200, "{header}: {value}");
    }
    for (header, value) in
        [("CF-Connecting-IP", "203.0.113.200"), ("Cloudflare-Connecting-IP", "2001:db8::7")]
    {
        let refused = from(header, value).await;
        assert_error(&refused, 403, "ip_not_allowed");
        assert_eq!(refused.json["detected_ip"], "127.0.0.1");
        for (forwarded, status) in
            [("203.0.114.1, 192.0.2.8", 200), ("192.0.2.8, 203.0.114.1", 403)]
        {
            let request = client().get(format!("{}/api/v1/balance", gateway.url));
            let request = request.bearer_auth(&secret).header(header, value);
            let answer = answer(request.header("X-Forwarded-For", forwarded)).await;
            assert_eq!(answer.status, status, "{header}: {value}, {forwarded}");
        }
    }
    gateway.nexo(&["key", "revoke", key["id"].as_str().unwrap()]);
    let revoked = std::time::Instant::now();
    while from("X-Forwarded-For", "203.0.113.7").await.status == 200 {
        assert!(revoked.elapsed().as_millis() < 1000, "still accepted after a second");
    }
    let refused = from("X-Forwarded-For", "203.0.113.7").await;
    assert_error(&refused, 401, "invalid_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_or_malformed_delivery_is_not_found() {
    let gateway = Gateway::start(harness::Backend::Sqlite, &[QUICK]);
    let mine = gateway.customer("a@example.com", "1.00");
    let other = gateway.customer("b@example.com", "1.00");
    let sent = mine.send(&phone(67), "1234").await;
    let id = sent.json["id"].as_str().unwrap();
    assert_eq!(mine.get(&format!("deliveries/{id}")).await.status, 200);
    for (customer, id) in [
        (&other, id),
        (&mine, "00000000-0000-4000-8000-000000000000"),
        (&mine, "8f2e1c4d-..."),
        (&mine, "1"),
    ] {
        let missing = customer.get(&format!("deliveries/{id}")).await;
        assert_error(&missing, 404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_key_costs_nothing_and_leaves_the_live_phone_free() {
    // The only gateway of the carrier does not answer: a live key is refused, and the sandbox serves test keys.
    let carriers = r#"[{name="viettel",channels=1,calls_per_second=1,caller_ids=[],gateways=[{name="none",uri="sip:127.0.0.1:9"}]}]"#;
    let gateway = Gateway::start(
        harness::Backend::Sqlite,
        &[QUICK, ("NEXO_CARRIERS", carriers), ("NEXO_CALLS__GATEWAY_TIMEOUT_MS", "300")],
    );
    let live = gateway.customer("a@example.com", "1.00");
    let key =
        gateway.nexo(&["key", "create", "--account", "a@example.com", "--name", "t", "--test"]);
    let test = harness::Customer { key: key["key"].as_str().unwrap().to_owned(), ..live.clone() };
    assert!(test.key.starts_with("sk_test_"));
    let to = phone(67);
    let sent = test.send(&to, "1234").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_eq!(number(&sent.text, "cost"), "0.000");
    // The test call did not open the phone's rate limit window: the silent gateway causes the refusal.
    assert_error(&live.send(&to, "1234").await, 502, "no_route");
    let ended = test.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered");
    assert_eq!(live.balance().await.1, "1.000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_without_a_carrier_is_refused_and_not_debited() {
    let gateway = Gateway::start(harness::Backend::Sqlite, &[("NEXO_SANDBOX__ENABLED", "false")]);
    let customer = gateway.customer("a@example.com", "1.00");
    let refused = customer.send(&phone(67), "1234").await;
    assert_error(&refused, 502, "no_route");
    assert_eq!(refused.json["id"], Value::Null);
    let ready = answer(client().get(format!("{}/readyz", gateway.url))).await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("no carrier has a gateway"), "{}", ready.text);
    assert_eq!(customer.balance().await.1, "1.000");
}

#[per_database]
async fn health_checks_and_the_openapi_document_are_served(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    for path in ["healthz", "readyz"] {
        let page = answer(client().get(format!("{}/{path}", gateway.url))).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
    }
    let url = format!("{}/api/v1/openapi.json", gateway.url);
    let document = answer(client().get(url)).await;
    assert!(document.json["openapi"].as_str().unwrap().starts_with("3.1"));
    let own = client().get(format!("{}/healthz", gateway.url));
    let own = answer(own.header("X-Request-Id", "mine-1")).await;
    assert_eq!(own.header("x-request-id"), Some("mine-1"));
    assert!(gateway.metric("nexo_http_requests_total").await >= 3.0);
}

#[per_database]
async fn a_crash_during_calls_is_refunded_and_notified_after_the_restart(backend: Backend) {
    let mut gateway = Gateway::start(backend, &WEBHOOKS_OPEN);
    let mut customer = gateway.customer("a@example.com", "1.00");
    let receiver = Receiver::start();
    let url = receiver.url();
    gateway.add_webhook("a@example.com", &url);
    let to = phone(67);
    let mut ids = HashSet::new();
    for to in [to.clone(), phone(67), phone(91)] {
        let sent = customer.send(&to, "1234").await;
        assert_eq!(sent.status, 202);
        ids.insert(sent.json["id"].as_str().unwrap().to_owned());
    }
    gateway.kill_and_restart();
    customer.api = format!("{}/api/v1", gateway.url);
    // The phone's window survives the crash.
    assert_error(&customer.send(&to, "1234").await, 429, "rate_limited");
    let mut notified = HashSet::new();
    for id in &ids {
        let ended = customer.get(&format!("deliveries/{id}")).await;
        assert_eq!(ended.json["status"], "failed");
        assert_eq!(ended.json["error_code"], "interrupted");
        assert_eq!(ended.json["carrier_status"], "interrupted");
        let hook = receiver.next();
        assert_eq!(hook.header("x-nexo-event-type"), "otp.failed");
        notified.insert(hook.header("x-nexo-delivery-id").to_owned());
    }
    assert_eq!(notified, ids);
    assert_eq!(customer.balance().await.1, "1.000");
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_waits_for_calls_in_progress() {
    let mut gateway = Gateway::start(harness::Backend::Sqlite, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    let sent = customer.send(&phone(67), "1234").await;
    assert_eq!(sent.status, 202);
    assert_eq!(gateway.terminate(), Some(0));
    gateway.kill_and_restart();
    let mut customer = customer;
    customer.api = format!("{}/api/v1", gateway.url);
    let id = sent.json["id"].as_str().unwrap();
    let ended = customer.get(&format!("deliveries/{id}")).await;
    assert_eq!(ended.json["status"], "delivered");
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_of_one_sqlite_file_is_refused_and_changes_nothing() {
    let gateway = Gateway::start(Backend::Sqlite, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    let sent = customer.send(&phone(67), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let (code, error) = gateway.second_server();
    assert_eq!(code, Some(1));
    assert!(error.contains("another nexo serves data/nexo.db"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    // The second server has not settled the call of the first one.
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered");
}

#[per_database]
async fn a_ported_number_uses_its_carrier_within_a_second_of_the_import(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    let (ported, other) = (phone(90), phone(90));
    let file = gateway.dir.path().join("ports.csv");
    std::fs::write(&file, format!("phone,carrier\n{ported},mobifone\n")).unwrap();
    let imported = gateway.nexo(&["ports", "import", file.to_str().unwrap()]);
    assert_eq!(imported["rows"], 1);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let (ported, other) =
        tokio::join!(customer.send(&ported, "482917"), customer.send(&other, "482917"));
    assert_eq!(ported.json["carrier"], "mobifone", "{}", ported.text);
    assert_eq!(other.json["carrier"], "viettel", "{}", other.text);
}

#[per_database]
async fn a_key_shows_when_it_was_last_used(backend: Backend) {
    let mut gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    let last_use = |gateway: &Gateway| {
        let listed = gateway.nexo(&["key", "list", "--account", "a@example.com"]);
        listed["keys"][0]["last_used_at"].clone()
    };
    assert!(last_use(&gateway).is_null());
    assert_eq!(customer.get("balance").await.status, 200);
    let first = until("the last use is stored", std::time::Duration::from_secs(30), async || {
        Some(last_use(&gateway)).filter(|at| at.is_string())
    })
    .await;
    // A graceful shutdown stores the last use.
    assert_eq!(customer.get("balance").await.status, 200);
    assert_eq!(gateway.terminate(), Some(0));
    let second = last_use(&gateway);
    assert!(second.as_str() > first.as_str(), "{first} {second}");
}
