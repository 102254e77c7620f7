//! Tests of the limits of free actions: webhooks, keys, top-ups, sign-ups, free credit and e-mails.

use std::time::Duration;

use harness::mailbox::Mailbox;
use harness::ports::free_ports;
use harness::visitor::{PASSWORD, PageResponse, Visitor};
use harness::waiting::BANK;
use harness::{Backend, Gateway, Receiver, per_database, until};

const HOOKS: &str = "/dashboard/webhooks";
const KEYS: &str = "/dashboard/api-keys";
const TIMEOUT: Duration = Duration::from_secs(20);
const OPEN: [(&str, &str); 2] =
    [("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")];

/// Asserts a page that names the used-up limit and says when to retry.
fn must_be_used_up(seen: &PageResponse, limit: &str) {
    assert_eq!(seen.status, 429, "{limit}: {}", seen.text);
    let seconds: u32 = seen.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&seconds), "{seconds}");
    seen.must_contain(limit);
}

/// The ids of an account's endpoints for these URLs.
async fn endpoints(lan: &mut Visitor, urls: &[String]) -> Vec<String> {
    let mut paths = Vec::new();
    for url in urls {
        let added = lan.submit(HOOKS, HOOKS, &[("url", url)]).await;
        assert_eq!(added.status, 201, "{}", added.text);
        let id = added.text.split("/dashboard/webhooks/").nth(1).unwrap();
        paths.push(format!("{HOOKS}/{}", &id[..36]));
    }
    paths
}

#[per_database]
async fn an_endpoint_gets_few_test_events_a_minute_and_an_account_few_a_day(backend: Backend) {
    let settings =
        [("NEXO_QUOTAS__TEST_EVENTS_PER_MINUTE", "2"), ("NEXO_QUOTAS__TEST_EVENTS_PER_DAY", "3")];
    let gateway = Gateway::start(backend, &[&OPEN[..], &settings].concat());
    let receiver = Receiver::start();
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let urls = [receiver.url(), format!("{}2", receiver.url())];
    let paths = endpoints(&mut lan, &urls).await;
    let mut test = async |path: &str| lan.submit(path, &format!("{path}/test"), &[]).await;
    for _ in 0..2 {
        assert_eq!(test(&paths[0]).await.status, 303);
    }
    must_be_used_up(&test(&paths[0]).await, "test_events_per_minute");
    assert_eq!(test(&paths[1]).await.status, 303);
    must_be_used_up(&test(&paths[1]).await, "test_events of 3");
    for _ in 0..3 {
        receiver.next();
    }
    for (path, events) in paths.iter().zip([2, 1]) {
        let page = lan.get(path).await;
        let attempts = page.text.matches("href=\"/dashboard/webhook-attempts/");
        assert_eq!(attempts.count(), events, "{}", page.text);
    }
    let page = lan.get("/dashboard/limits").await;
    page.must_contain("Test events to webhooks").must_contain("pill bad");
}

#[actix_web::test]
async fn replays_are_limited_one_by_one_and_together() {
    let settings = [("NEXO_QUOTAS__WEBHOOK_REPLAYS_PER_DAY", "2")];
    let gateway = Gateway::start(Backend::Sqlite, &[&OPEN[..], &settings].concat());
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    // Nothing listens on this port.
    let url = format!("http://127.0.0.1:{}/hook", free_ports(1));
    let path = endpoints(&mut lan, &[url]).await.remove(0);
    for _ in 0..3 {
        lan.submit(&path, &format!("{path}/test"), &[]).await;
    }
    let mut failed = lan.clone();
    until("three failures", TIMEOUT, async || {
        let seen = failed.get(&path).await;
        (seen.text.matches(">failed<").count() == 3).then_some(())
    })
    .await;
    let replay = format!("{path}/replay-failed");
    let future = [("since", "2999-01-01T00:00")];
    let seen = lan.submit(&path, &replay, &future).await;
    assert!(seen.location().ends_with("told=0"), "{seen:?}");
    // What was not replayed does not count: two are left.
    let since = [("since", "2020-01-01T00:00")];
    let seen = lan.submit(&path, &replay, &since).await;
    assert!(seen.location().ends_with("told=2"), "{seen:?}");
    must_be_used_up(&lan.submit(&path, &replay, &since).await, "webhook_replays");
    let attempt = lan.id_after(&path, "/dashboard/webhook-attempts/").await;
    let attempt = format!("/dashboard/webhook-attempts/{attempt}");
    let seen = lan.submit(&path, &format!("{attempt}/replay"), &[]).await;
    must_be_used_up(&seen, "webhook_replays");
}

#[per_database]
async fn what_an_account_creates_is_limited(backend: Backend) {
    let settings = [
        ("NEXO_QUOTAS__API_KEYS_PER_DAY", "2"),
        ("NEXO_QUOTAS__WEBHOOK_ENDPOINTS_PER_DAY", "1"),
        ("NEXO_QUOTAS__TOP_UPS_PER_DAY", "1"),
        ("NEXO_QUOTAS__LOW_BALANCE_CHANGES_PER_DAY", "1"),
    ];
    let settings = [&OPEN[..], &BANK, &settings].concat();
    let gateway = Gateway::start(backend, &settings);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    lan.new_key("one").await;
    let id = lan.id_after(KEYS, "/dashboard/api-keys/").await;
    let rotate = format!("{KEYS}/{id}/rotate");
    assert_eq!(lan.submit(&rotate, &rotate, &[]).await.status, 201);
    let wallet = "/dashboard/wallet";
    let forms = [
        (KEYS, KEYS.to_owned(), ["name", "two"], "api_keys"),
        (HOOKS, HOOKS.to_owned(), ["url", "http://127.0.0.1:9/h"], "webhook_endpoints"),
        (
            "/dashboard/wallet/top-up",
            "/dashboard/wallet/top-up".to_owned(),
            ["amount", "10.00"],
            "top_ups",
        ),
        (wallet, format!("{wallet}/low-balance"), ["threshold", "1.00"], "low_balance_changes"),
    ];
    for (page, path, [name, value], quota) in &forms {
        let fields = [(*name, *value)];
        if *quota != "api_keys" {
            let first = lan.submit(page, path, &fields).await;
            assert!(first.status < 400, "{path}: {}", first.text);
        }
        must_be_used_up(&lan.submit(page, path, &fields).await, quota);
    }
    // A command of an operator is not limited.
    gateway.nexo(&["key", "create", "--account", "lan@example.com", "--name", "x"]);
}

async fn sign_up(gateway: &Gateway, email: &str, address: &str) -> (Visitor, PageResponse) {
    let mut visitor = Visitor::of(gateway);
    visitor.headers = vec![("X-Forwarded-For".to_owned(), address.to_owned())];
    let fields = [("email", email), ("password", PASSWORD)];
    let page = "/auth/sign-up";
    let seen = visitor.submit(page, page, &fields).await;
    (visitor, seen)
}

#[per_database]
async fn a_mailbox_gets_free_credit_once_and_a_day_has_a_number_of_grants(backend: Backend) {
    // The demo account has received one.
    let settings = [("NEXO_QUOTAS__FREE_CREDITS_PER_DAY", "3")];
    let gateway = Gateway::start(backend, &settings);
    let used = "/dashboard?credit=mailbox";
    for (email, location, text) in [
        ("ann@gmail.com", "/dashboard", "enough for 5 OTPs"),
        ("a.n.n+1@gmail.com", used, "the same mailbox received it"),
        ("ann@googlemail.com", used, "the same mailbox received it"),
        ("bob@example.com", "/dashboard", "enough for 5 OTPs"),
        ("bob+x@example.com", used, "the same mailbox received it"),
        ("carol@example.com", "/dashboard?credit=limit", "the free credits of today are used up"),
    ] {
        let (mut visitor, seen) = sign_up(&gateway, email, "203.0.113.1").await;
        assert_eq!((seen.status, seen.location()), (303, location), "{email}");
        visitor.get(location).await.must_contain(text);
    }
    // Two granted, three of a known mailbox, one over the day's limit.
    assert_eq!(gateway.metric("nexo_free_credits_total").await, 6.0);
    gateway.audit();
}

#[per_database]
async fn sign_ups_are_limited_by_network_and_in_all(backend: Backend) {
    let settings = [
        ("NEXO_QUOTAS__NETWORK_SIGN_UPS_PER_DAY", "2"),
        // The demo account is one of them.
        ("NEXO_QUOTAS__SIGN_UPS_PER_DAY", "5"),
    ];
    let gateway = Gateway::start(backend, &settings);
    let mut number = 0;
    let mut sign_up = async |address: &str| {
        number += 1;
        sign_up(&gateway, &format!("n{number}@example.com"), address).await.1
    };
    assert_eq!(sign_up("203.0.113.1").await.status, 303);
    assert_eq!(sign_up("203.0.113.1").await.status, 303);
    must_be_used_up(&sign_up("203.0.113.1").await, "network_sign_ups");
    assert_eq!(sign_up("2001:db8:0:1200::1").await.status, 303);
    assert_eq!(sign_up("2001:db8:0:12ff::1").await.status, 303);
    must_be_used_up(&sign_up("2001:db8:0:1201::1").await, "network_sign_ups");
    must_be_used_up(&sign_up("203.0.113.2").await, "of 5");
    let accounts = gateway.nexo(&["account", "list"]);
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 5);
}

#[per_database]
async fn a_mailbox_gets_few_emails_whatever_its_address(backend: Backend) {
    let mailbox = Mailbox::start();
    let settings = [
        ("NEXO_MAIL__SMTP_URL", mailbox.url()),
        ("NEXO_QUOTAS__EMAILS_PER_DAY", "2".to_owned()),
        ("NEXO_QUOTAS__PASSWORD_RESETS_PER_DAY", "1".to_owned()),
    ];
    let settings = settings.each_ref().map(|(key, value)| (*key, value.as_str()));
    let gateway = Gateway::start(backend, &settings);
    let refusals = async || gateway.metric("nexo_quota_refusals_total").await;
    for (count, email) in
        ["ann+1@gmail.com", "a.nn@gmail.com", "ann+3@gmail.com"].into_iter().enumerate()
    {
        // The response does not reveal whether an e-mail is sent.
        let (_, seen) = sign_up(&gateway, email, "203.0.113.1").await;
        assert_eq!(seen.status, 200, "{}", seen.text);
        seen.must_contain("Check your e-mail");
        if count < 2 {
            mailbox.wait_for(email, 1).await;
        }
    }
    until("the refusal", TIMEOUT, async || (refusals().await == 1.0).then_some(())).await;
    let create = ["account", "create", "--email", "bob@example.com"];
    gateway.nexo(&create);
    let mut visitor = Visitor::of(&gateway);
    for (address, sent) in [("203.0.113.1", 1), ("203.0.113.1", 1), ("203.0.113.2", 2)] {
        visitor.headers = vec![("X-Forwarded-For".to_owned(), address.to_owned())];
        let fields = [("email", "bob@example.com")];
        let seen = visitor.submit("/auth/reset", "/auth/reset", &fields).await;
        assert_eq!(seen.status, 200, "{}", seen.text);
        mailbox.wait_for("bob@example.com", sent).await;
    }
    until("the refusal", TIMEOUT, async || (refusals().await == 2.0).then_some(())).await;
    assert_eq!(mailbox.emails().len(), 4);
}
