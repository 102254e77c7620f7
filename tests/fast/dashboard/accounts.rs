//! Tests of sign-up, sign-in, sign-out and passwords.

use std::time::{Duration, Instant};

use harness::mailbox::Mailbox;
use harness::visitor::{PASSWORD, Visitor, between};
use harness::{Backend, Gateway, per_database};

const DEFAULTS: [(&str, &str); 0] = [];

#[per_database]
async fn a_sign_up_works_once_and_grants_free_otps(backend: Backend) {
    let gateway = Gateway::start(backend, &DEFAULTS);
    let mut lan = Visitor::signed_up(&gateway, "Lan@Example.com").await;
    let overview = lan.get("/dashboard").await;
    overview.must_contain("$0.11").must_contain("enough for 5 OTPs");
    overview.must_contain("lan@example.com");
    let mut again = Visitor::of(&gateway);
    let fields = [("email", "lan@example.com"), ("password", PASSWORD)];
    let taken = again.submit("/auth/sign-up", "/auth/sign-up", &fields).await;
    assert_eq!(taken.status, 400);
    assert!(!again.cookies.contains_key("nexo_session"));
    for (email, password, expected) in [
        ("x", PASSWORD, "valid e-mail address"),
        ("y@example.com", "short", "at least 10 characters"),
        ("y@example.com", "aaaaaaaaaaaa", "too easy to guess"),
    ] {
        let fields = [("email", email), ("password", password)];
        let seen = again.submit("/auth/sign-up", "/auth/sign-up", &fields).await;
        assert_eq!(seen.status, 400);
        seen.must_contain(expected);
    }
    let ledger = gateway.nexo(&["account", "list"]);
    assert_eq!(ledger["accounts"].as_array().unwrap().len(), 2, "{ledger}");
    gateway.audit();
}

#[per_database]
async fn with_e_mail_a_sign_up_is_confirmed_and_does_not_reveal_existing_accounts(
    backend: Backend,
) {
    let mailbox = Mailbox::start();
    let gateway = Gateway::start(backend, &[("NEXO_MAIL__SMTP_URL", &mailbox.url())]);
    let create = ["account", "create", "--email", "old@example.com"];
    gateway.nexo(&[&create[..], &["--password", PASSWORD]].concat());
    let mut visitor = Visitor::of(&gateway);
    let mut seen = Vec::new();
    for email in ["old@example.com", "new@example.com"] {
        let fields = [("email", email), ("password", PASSWORD)];
        let page = visitor.submit("/auth/sign-up", "/auth/sign-up", &fields).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page.must_contain(email).must_contain("Check your e-mail");
        seen.push(page.text.replace(email, ""));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(!visitor.cookies.contains_key("nexo_session"));
    let known = mailbox.wait_for("old@example.com", 1).await;
    assert!(known.text.contains("already has an account"), "{known:?}");

    // Opening the link does not create the account. Only the button does.
    let email = mailbox.wait_for("new@example.com", 1).await;
    let link = between(&email.text, "/auth/confirm?token=", "\n").expect("a link");
    let link = format!("/auth/confirm?token={}", link.trim());
    for _ in 0..2 {
        visitor.get(&link).await.must_contain("new@example.com");
    }
    assert_eq!(gateway.nexo(&["account", "list"])["accounts"].as_array().unwrap().len(), 2);
    let token = link.split_once('=').unwrap().1.to_owned();
    let fields = [("token", token.as_str())];
    let opened = visitor.submit(&link, "/auth/confirm", &fields).await;
    assert_eq!((opened.status, opened.location()), (303, "/dashboard"));
    visitor.get("/dashboard").await.must_contain("$0.11");

    let mut late = Visitor::of(&gateway);
    assert_eq!(late.get(&link).await.status, 410);
    let page = "/auth/sign-in";
    assert_eq!(late.submit(page, "/auth/confirm", &fields).await.status, 410);
    assert_eq!(late.sign_in("new@example.com", PASSWORD).await.status, 303);
    assert_eq!(mailbox.emails().len(), 2);

    // The e-mails to an address are limited.
    let fields = [("email", "old@example.com"), ("password", PASSWORD)];
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let page = late.submit("/auth/reset", "/auth/sign-up", &fields).await;
        statuses.push(page.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    gateway.audit();
}

#[per_database]
async fn each_sign_in_starts_a_new_session_and_sign_out_ends_it(backend: Backend) {
    let gateway = Gateway::start(backend, &DEFAULTS);
    let mut first = Visitor::signed_up(&gateway, "a@example.com").await;
    let mut second = Visitor::of(&gateway);
    let wrong = second.sign_in("a@example.com", "wrong password").await;
    let unknown = second.sign_in("b@example.com", "wrong password").await;
    assert_eq!((wrong.status, unknown.status), (400, 400));
    let without = |text: &str, email: &str| text.replace(email, "");
    assert_eq!(without(&wrong.text, "a@example.com"), without(&unknown.text, "b@example.com"));
    let response = second.sign_in("A@example.com", PASSWORD).await;
    assert_eq!(response.status, 303, "{}", response.text);
    let cookie = response.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let token = second.cookies["nexo_session"].clone();
    assert_ne!(token, first.cookies["nexo_session"]);

    // The cookie of a session that was signed out is not accepted.
    let out = second.submit("/dashboard", "/auth/sign-out", &[]).await;
    assert_eq!(out.location(), "/auth/sign-in");
    second.cookies.insert("nexo_session".into(), token);
    let refused = second.get("/dashboard/api-keys?x=1").await;
    assert_eq!(
        (refused.status, refused.location()),
        (303, "/auth/sign-in?next=%2Fdashboard%2Fapi-keys%3Fx%3D1")
    );
    assert_eq!(first.get("/dashboard").await.status, 200);

    let mut third = Visitor::of(&gateway);
    third.sign_in("a@example.com", PASSWORD).await;
    first.submit("/dashboard", "/auth/sign-out-everywhere", &[]).await;
    for visitor in [&mut first, &mut third] {
        assert_eq!(visitor.get("/dashboard").await.status, 303);
    }
}

#[actix_web::test]
async fn an_account_created_by_command_can_sign_in_until_it_is_closed() {
    let gateway = Gateway::start(Backend::Sqlite, &DEFAULTS);
    let create = ["account", "create", "--email", "ops@example.com"];
    gateway.nexo(&[&create[..], &["--password", PASSWORD, "--operator"]].concat());
    let mut ops = Visitor::of(&gateway);
    assert_eq!(ops.sign_in("ops@example.com", PASSWORD).await.status, 303);
    ops.get("/dashboard").await.must_contain("/dashboard/operators/accounts");
    gateway.nexo(&["account", "close", "--account", "ops@example.com"]);
    assert_eq!(ops.get("/dashboard").await.status, 303);
    assert_eq!(ops.sign_in("ops@example.com", PASSWORD).await.status, 400);
}

#[actix_web::test]
async fn a_changed_password_ends_the_other_sessions() {
    let gateway = Gateway::start(Backend::Sqlite, &DEFAULTS);
    let mut here = Visitor::signed_up(&gateway, "a@example.com").await;
    let mut there = Visitor::of(&gateway);
    there.sign_in("a@example.com", PASSWORD).await;
    let page = "/dashboard/settings";
    let path = "/dashboard/settings/password";
    let fields = [("present", "wrong password"), ("new", "another password")];
    assert_eq!(here.submit(page, path, &fields).await.status, 400);
    let fields = [("present", PASSWORD), ("new", "another password")];
    assert_eq!(here.submit(page, path, &fields).await.status, 303);
    assert_eq!(here.get("/dashboard").await.status, 200);
    assert_eq!(there.get("/dashboard").await.status, 303);
    assert_eq!(there.sign_in("a@example.com", PASSWORD).await.status, 400);
    assert_eq!(there.sign_in("a@example.com", "another password").await.status, 303);
}

#[per_database]
async fn a_forgotten_password_is_reset_by_a_link_that_works_once(backend: Backend) {
    let gateway = Gateway::start(backend, &[("RUST_LOG", "warn")]);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let mut visitor = Visitor::of(&gateway);
    let form = |email| [("email", email)];
    let known = visitor.submit("/auth/reset", "/auth/reset", &form("a@example.com")).await;
    let unknown = visitor.submit("/auth/reset", "/auth/reset", &form("z@example.com")).await;
    assert_eq!(known.text.replace("a@example.com", ""), unknown.text.replace("z@example.com", ""));
    let deadline = Instant::now() + Duration::from_secs(10);
    let link = loop {
        let log = gateway.log();
        if let Some(token) = between(&log, "/auth/new-password?token=", "\n") {
            break format!("/auth/new-password?token={}", token.trim());
        }
        assert!(Instant::now() < deadline, "no link: {log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(!gateway.log().contains("z@example.com"));
    let token = link.split_once('=').unwrap().1.to_owned();
    let fields = [("token", token.as_str()), ("password", "brand new password")];
    let set = visitor.submit(&link, "/auth/new-password", &fields).await;
    assert_eq!((set.status, set.location()), (303, "/auth/sign-in"), "{}", set.text);
    assert_eq!(visitor.get(&link).await.status, 410);
    assert_eq!(lan.get("/dashboard").await.status, 303);
    assert_eq!(visitor.sign_in("a@example.com", PASSWORD).await.status, 400);
    assert_eq!(visitor.sign_in("a@example.com", "brand new password").await.status, 303);
}

/// The relative difference between the lower quartiles of the times for known and unknown addresses.
fn difference(times: [Vec<Duration>; 2]) -> f64 {
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[times.len() / 4].as_secs_f64()
    });
    (known - unknown).abs() / known
}

/// Interleaves attempts in both orders and compares the lower quartiles of the CPU times and of the durations. Other
/// programs on the machine only increase them. Several rounds are allowed, because they may still disturb one.
#[actix_web::test]
async fn a_sign_in_takes_as_much_and_as_long_for_an_unknown_address() {
    let gateway = Gateway::start(Backend::Sqlite, &DEFAULTS);
    let mut known = Vec::new();
    for n in 0..18 {
        let email = format!("k{n}@example.com");
        Visitor::signed_up(&gateway, &email).await;
        known.push(email);
    }
    let mut visitor = Visitor::of(&gateway);
    let page = visitor.get("/auth/sign-in").await;
    let token = page.form_token().unwrap().to_owned();
    let mut differences = (Vec::new(), Vec::new());
    for round in 0..8 {
        let (mut used, mut waited) = <([Vec<Duration>; 2], [Vec<Duration>; 2])>::default();
        for (n, email) in known.iter().enumerate() {
            let unknown = format!("u{round}-{n}@example.com");
            let pair = [(0, email.as_str()), (1, unknown.as_str())];
            let pair = if n % 2 == 0 { pair } else { [pair[1], pair[0]] };
            for (index, email) in pair {
                visitor.headers = vec![("X-Forwarded-For".into(), format!("198.51.{round}.{n}"))];
                let fields =
                    [("email", email), ("password", "wrong password"), ("form_token", &token)];
                let (started, before) = (Instant::now(), gateway.cpu());
                let seen = visitor.post("/auth/sign-in", &fields).await;
                waited[index].push(started.elapsed());
                used[index].push(gateway.cpu().saturating_sub(before));
                assert_eq!(seen.status, 400);
            }
        }
        differences.0.push(difference(used));
        differences.1.push(difference(waited));
        let any_below = |all: &[f64], most| all.iter().any(|difference| *difference < most);
        if any_below(&differences.0, 0.05) && any_below(&differences.1, 0.15) {
            return;
        }
    }
    panic!("known and unknown addresses differ in CPU time and duration: {differences:?}");
}
