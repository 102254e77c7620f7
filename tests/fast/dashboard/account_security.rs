//! Tests of changes of an account's security settings: the e-mail address, access after a password reset, the payout
//! method, the second factor of operators, and the end of sessions.

use std::time::Duration;

use harness::mailbox::{Email, Mailbox};
use harness::visitor::{PASSWORD, PageResponse, Visitor, app_code, between};
use harness::{Backend, Gateway, answer, client, per_database, until};
use sea_orm::{ConnectionTrait, Database};

const OLD: &str = "old@example.com";
const NEW: &str = "new@example.com";
const SETTINGS: &str = "/dashboard/settings";
const RESET: &str = "/auth/new-password?token=";
const CONFIRM: &str = "/auth/confirm-email?token=";
const FACTOR: &str = "/dashboard/settings/second-factor";
const REVIEW: &str = "/dashboard/settings/access";
const TIMEOUT: Duration = Duration::from_secs(20);

/// The token in an e-mail's link.
fn token(email: &Email, link: &str) -> String {
    let token = between(&email.text, link, "\n").unwrap_or_else(|| panic!("{email:?}"));
    token.trim().to_owned()
}

fn with_mail(backend: Backend, settings: &[(&str, &str)]) -> (Mailbox, Gateway) {
    let mailbox = Mailbox::start();
    let url = mailbox.url();
    let settings = [settings, &[("NEXO_MAIL__SMTP_URL", url.as_str())]].concat();
    let gateway = Gateway::start(backend, &settings);
    (mailbox, gateway)
}

/// Creates an account and signs in.
async fn signed_in(gateway: &Gateway, email: &str) -> Visitor {
    gateway.nexo(&["account", "create", "--email", email, "--password", PASSWORD]);
    let mut visitor = Visitor::of(gateway);
    assert_eq!(visitor.sign_in(email, PASSWORD).await.status, 303);
    visitor
}

async fn change_email(visitor: &mut Visitor, email: &str, password: &str) -> PageResponse {
    let fields = [("email", email), ("confirm", password)];
    visitor.submit(SETTINGS, "/dashboard/settings/email", &fields).await
}

async fn confirm(visitor: &mut Visitor, token: &str) -> PageResponse {
    let page = format!("{CONFIRM}{token}");
    visitor.submit(&page, "/auth/confirm-email", &[("token", token)]).await
}

/// Resets the password by a new link and returns the response. The mailbox must not have reset links yet.
async fn reset(mailbox: &Mailbox, visitor: &mut Visitor, email: &str, to: &str) -> PageResponse {
    let path = "/auth/reset";
    visitor.submit(path, path, &[("email", email)]).await;
    let link = until("the reset link", TIMEOUT, async || {
        let emails = mailbox.emails();
        emails.into_iter().find(|email| email.text.contains(RESET))
    });
    let token = token(&link.await, RESET);
    let fields = [("token", token.as_str()), ("password", to)];
    let page = format!("{RESET}{token}");
    visitor.submit(&page, "/auth/new-password", &fields).await
}

#[per_database]
async fn a_new_e_mail_address_is_confirmed_before_it_takes_effect(backend: Backend) {
    let (mailbox, gateway) = with_mail(backend, &[]);
    let mut here = signed_in(&gateway, OLD).await;
    let mut there = Visitor::of(&gateway);
    there.sign_in(OLD, PASSWORD).await;
    // A reset link to the old address, as an attacker who reads that mailbox would have it.
    let path = "/auth/reset";
    there.submit(path, path, &[("email", OLD)]).await;
    let reset_token = token(&mailbox.wait_for(OLD, 1).await, RESET);

    assert_eq!(change_email(&mut here, NEW, "wrong password").await.status, 400);
    let sent = change_email(&mut here, NEW, PASSWORD).await;
    assert_eq!(sent.location(), "/dashboard/settings?sent=1");
    here.get(SETTINGS)
        .await
        .must_contain(OLD)
        .must_contain("Waiting for new@example.com to be confirmed");
    let notice = mailbox.wait_for(OLD, 2).await;
    assert!(notice.text.contains(NEW), "{notice:?}");
    assert!(!notice.text.contains(CONFIRM), "{notice:?}");
    let confirm_token = token(&mailbox.wait_for(NEW, 1).await, CONFIRM);
    // Nothing has changed, also after the link was fetched.
    here.get(&format!("{CONFIRM}{confirm_token}")).await.must_contain(NEW);
    assert_eq!(there.get("/dashboard").await.status, 200);
    let mut other = Visitor::of(&gateway);
    assert_eq!(other.sign_in(NEW, PASSWORD).await.status, 400);
    assert_eq!(other.sign_in(OLD, PASSWORD).await.status, 303);

    let done = confirm(&mut here, &confirm_token).await;
    assert_eq!((done.status, done.location()), (303, "/dashboard/settings?saved=1"));
    assert_eq!(here.get("/dashboard").await.status, 200);
    for visitor in [&mut there, &mut other] {
        assert_eq!(visitor.get("/dashboard").await.status, 303);
    }
    let link = format!("{RESET}{reset_token}");
    assert_eq!(there.get(&link).await.status, 410, "the old reset link");
    let again = here.get(&format!("{CONFIRM}{confirm_token}")).await;
    assert_eq!(again.status, 410);
    assert_eq!(there.sign_in(OLD, PASSWORD).await.status, 400);
    assert_eq!(there.sign_in(NEW, PASSWORD).await.status, 303);
    for (to, count) in [(OLD, 3), (NEW, 2)] {
        let email = mailbox.wait_for(to, count).await;
        assert!(email.text.contains("You now sign in as"), "{email:?}");
    }
}

#[actix_web::test]
async fn a_change_of_address_ends_with_a_new_password_and_can_be_cancelled() {
    let (mailbox, gateway) = with_mail(Backend::Sqlite, &[]);
    let mut lan = signed_in(&gateway, OLD).await;
    change_email(&mut lan, NEW, PASSWORD).await;
    let cancelled = token(&mailbox.wait_for(NEW, 1).await, CONFIRM);
    lan.submit(SETTINGS, "/dashboard/settings/email/cancel", &[]).await;
    change_email(&mut lan, NEW, PASSWORD).await;
    let ended = token(&mailbox.wait_for(NEW, 2).await, CONFIRM);
    let fields = [("present", PASSWORD), ("new", "another password")];
    let path = "/dashboard/settings/password";
    assert_eq!(lan.submit(SETTINGS, path, &fields).await.status, 303);
    for token in [cancelled, ended] {
        let page = lan.get(&format!("{CONFIRM}{token}")).await;
        assert_eq!(page.status, 410);
    }
    let mut other = Visitor::of(&gateway);
    assert_eq!(other.sign_in(OLD, "another password").await.status, 303);
}

#[actix_web::test]
async fn a_request_for_a_taken_address_looks_like_any_other() {
    let (mailbox, gateway) = with_mail(Backend::Sqlite, &[]);
    gateway.nexo(&["account", "create", "--email", "eve@example.com"]);
    let mut lan = signed_in(&gateway, OLD).await;
    let mut pages = Vec::new();
    for email in ["eve@example.com", NEW] {
        let sent = change_email(&mut lan, email, PASSWORD).await;
        assert_eq!(sent.location(), "/dashboard/settings?sent=1");
        let page = lan.get("/dashboard/settings?sent=1").await;
        let form = between(&page.text, "E-mail address", "<form").unwrap();
        pages.push(form.replace(email, ""));
    }
    assert_eq!(pages[0], pages[1]);
    let known = mailbox.wait_for("eve@example.com", 1).await;
    assert!(known.text.contains("already has an account"), "{known:?}");
    assert!(!known.text.contains(CONFIRM), "{known:?}");
    // The links to one mailbox are limited.
    let mut statuses = Vec::new();
    for n in 0..4 {
        let email = format!("new+{n}@example.com");
        statuses.push(change_email(&mut lan, &email, PASSWORD).await.status);
    }
    assert_eq!(statuses, [303, 303, 429, 429]);
}

#[per_database]
async fn without_a_mail_server_a_new_address_takes_effect_at_once_and_ends_links(backend: Backend) {
    let gateway = Gateway::start(backend, &[("RUST_LOG", "warn")]);
    let mut here = Visitor::signed_up(&gateway, OLD).await;
    let mut there = Visitor::of(&gateway);
    there.sign_in(OLD, PASSWORD).await;
    let path = "/auth/reset";
    there.submit(path, path, &[("email", OLD)]).await;
    let link = until("the reset link", TIMEOUT, async || {
        let log = gateway.log();
        between(&log, RESET, "\n").map(|token| format!("{RESET}{}", token.trim()))
    })
    .await;
    assert_eq!(there.get(&link).await.status, 200);
    Visitor::signed_up(&gateway, "eve@example.com").await;
    let taken = change_email(&mut here, "eve@example.com", PASSWORD).await;
    assert_eq!(taken.status, 400);
    let done = change_email(&mut here, NEW, PASSWORD).await;
    assert_eq!(done.location(), "/dashboard/settings?saved=1");
    assert_eq!(here.get("/dashboard").await.status, 200);
    assert_eq!(there.get("/dashboard").await.status, 303);
    assert_eq!(there.get(&link).await.status, 410);
    assert_eq!(there.sign_in(NEW, PASSWORD).await.status, 303);
}

#[per_database]
async fn after_a_password_reset_the_owner_reviews_keys_and_endpoints(backend: Backend) {
    let private = ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true");
    let plain = ("NEXO_WEBHOOKS__ALLOW_HTTP", "true");
    let (mailbox, gateway) = with_mail(backend, &[private, plain]);
    let mut lan = signed_in(&gateway, OLD).await;
    let keys = [lan.new_key("thief").await, lan.new_key("server").await];
    let ids = gateway.nexo(&["key", "list"]);
    let id_of = |name: &str| {
        let all = ids["keys"].as_array().unwrap();
        let key = all.iter().find(|key| key["name"] == name).unwrap();
        key["id"].as_str().unwrap().to_owned()
    };
    let endpoint = |url: &str| {
        let added = gateway.add_webhook(OLD, url);
        added["id"].as_str().unwrap().to_owned()
    };
    let (bad, good) = (endpoint("http://127.0.0.1:1/thief"), endpoint("http://127.0.0.1:1/server"));
    let create = ["integration", "create", "--account", OLD, "--kind", "logto", "--name"];
    let integration = |name| {
        let created = gateway.nexo(&[&create[..], &[name]].concat());
        created["id"].as_str().unwrap().to_owned()
    };
    let (foreign, own) = (integration("thief's"), integration("login"));
    let mut owner = Visitor::of(&gateway);
    let seen = reset(&mailbox, &mut owner, OLD, "brand new password").await;
    assert_eq!((seen.status, seen.location()), (303, "/auth/sign-in"));
    let notice = until("the notice", TIMEOUT, async || {
        let emails = mailbox.emails();
        emails.into_iter().find(|email| email.text.contains("The password of"))
    });
    assert_eq!(notice.await.to, OLD);
    let seen = owner.sign_in(OLD, "brand new password").await;
    assert_eq!((seen.status, seen.location()), (303, REVIEW));
    let page = owner.get(REVIEW).await;
    page.must_contain("Your password was reset")
        .must_contain("thief")
        .must_contain("http://127.0.0.1:1/server");
    assert!(!page.text.contains("checked"), "nothing is ticked");
    // It comes again until it is finished.
    let mut later = Visitor::of(&gateway);
    let seen = later.sign_in(OLD, "brand new password").await;
    assert_eq!(seen.location(), REVIEW);

    let (key, endpoint) = (format!("key-{}", id_of("thief")), format!("endpoint-{bad}"));
    let integration = format!("integration-{foreign}");
    let fields = [(key.as_str(), "yes"), (endpoint.as_str(), "yes"), (&integration, "yes")];
    let done = owner.submit(REVIEW, REVIEW, &fields).await;
    assert_eq!(done.location(), "/dashboard/settings?reviewed=1");
    let balance = |key: String| {
        let url = format!("{}/api/v1/balance", gateway.url);
        answer(client().get(url).bearer_auth(key))
    };
    until("the key's end", Duration::from_secs(5), async || {
        (balance(keys[0].clone()).await.status == 401).then_some(())
    })
    .await;
    assert_eq!(balance(keys[1].clone()).await.status, 200);
    let listed = gateway.nexo(&["integration", "list", "--account", OLD]);
    let kept: Vec<&str> = listed["integrations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(kept, [&own]);
    let listed = gateway.nexo(&["webhook", "list", "--account", OLD]);
    let listed: Vec<&str> = listed["webhooks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|webhook| webhook["id"].as_str().unwrap())
        .collect();
    assert_eq!(listed, [good.as_str()]);
    let mut next = Visitor::of(&gateway);
    let seen = next.sign_in(OLD, "brand new password").await;
    assert_eq!(seen.location(), "/dashboard");
}

#[actix_web::test]
async fn a_new_payout_method_needs_the_password_and_is_notified() {
    let (mailbox, gateway) = with_mail(Backend::Sqlite, &[]);
    let mut lan = signed_in(&gateway, OLD).await;
    let (page, path) = ("/dashboard/referrals", "/dashboard/referrals/wallet");
    let address = "970436 0123456789 NGUYEN THI LAN";
    for (password, status) in [("", 400), ("wrong password", 400), (PASSWORD, 303)] {
        let fields = [("kind", "bank"), ("address", address), ("password", password)];
        let seen = lan.submit(page, path, &fields).await;
        assert_eq!(seen.status, status, "{password}: {}", seen.text);
        let stored = lan.get(page).await.text.contains(address);
        assert_eq!(stored, status == 303, "{password}");
    }
    let notice = mailbox.wait_for(OLD, 1).await;
    assert!(notice.text.contains("Bank account") && notice.text.contains("6789"), "{notice:?}");
    assert!(!notice.text.contains("0123456789"), "{notice:?}");
}

#[per_database]
async fn an_operator_sets_up_a_required_second_factor_before_anything_else(backend: Backend) {
    let required = ("NEXO_SIGN_IN__OPERATORS_NEED_SECOND_FACTOR", "true");
    let gateway = Gateway::start(backend, &[required]);
    let create = ["account", "create", "--operator", "--email", OLD];
    gateway.nexo(&[&create[..], &["--password", PASSWORD]].concat());
    let mut operator = Visitor::of(&gateway);
    operator.sign_in(OLD, PASSWORD).await;
    for path in
        ["/dashboard", "/dashboard/operators/accounts", "/dashboard/api-keys", SETTINGS, REVIEW]
    {
        let seen = operator.get(path).await;
        assert_eq!((seen.status, seen.location()), (303, FACTOR), "{path}");
    }
    // Nor does a form work.
    let setup = operator.get(FACTOR).await;
    setup.must_contain("Operators of this gateway must use");
    let form_token = setup.form_token().unwrap().to_owned();
    let fields = [("form_token", form_token.as_str()), ("name", "k")];
    let seen = operator.post("/dashboard/api-keys", &fields).await;
    assert_eq!((seen.status, seen.location()), (303, FACTOR));
    let keys = gateway.nexo(&["key", "list", "--account", OLD]);
    assert_eq!(keys["keys"], serde_json::json!([]));

    let secret = between(&setup.text, "name=\"secret\" value=\"", "\"").unwrap();
    let code = app_code(secret, 0);
    let fields = [
        ("secret", secret),
        ("code", code.as_str()),
        ("password", PASSWORD),
        ("form_token", form_token.as_str()),
    ];
    let done = operator.post(FACTOR, &fields).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let seen = operator.get("/dashboard/operators/accounts").await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    // It cannot be turned off.
    let fields = [("password", PASSWORD), ("form_token", form_token.as_str())];
    let seen = operator.post(&format!("{FACTOR}/remove"), &fields).await;
    assert_eq!(seen.status, 400);
    let mut again = Visitor::of(&gateway);
    let seen = again.sign_in(OLD, PASSWORD).await;
    assert!(seen.location().starts_with("/auth/second-step"));

    // Customers and commands are not affected.
    let mut customer = Visitor::signed_up(&gateway, NEW).await;
    assert_eq!(customer.get("/dashboard").await.status, 200);
    gateway.nexo(&["account", "list"]);
}

#[per_database]
async fn a_session_ends_after_the_configured_days_however_often_it_is_used(backend: Backend) {
    let days = ("NEXO_SIGN_IN__SESSION_MAX_DAYS", "2");
    let gateway = Gateway::start(backend, &[days]);
    let mut lan = Visitor::signed_up(&gateway, OLD).await;
    let database = Database::connect(gateway.database_url()).await.unwrap();
    let hours_older = async |hours: i64| {
        // The expiry is not changed, as if it had been stored under another configuration.
        let sql = format!(
            "UPDATE sessions SET created_at_ms = created_at_ms - {0}, seen_at_ms = seen_at_ms - {0}",
            hours * 3_600_000
        );
        database.execute_unprepared(&sql).await.unwrap();
    };
    hours_older(47).await;
    // A use moves the expiry, but not beyond the second day.
    assert_eq!(lan.get("/dashboard").await.status, 200);
    let left = "SELECT id FROM sessions WHERE expires_at_ms - created_at_ms > 2 * 86400000";
    let statement = sea_orm::Statement::from_string(database.get_database_backend(), left);
    let left = database.query_all_raw(statement).await.unwrap();
    assert!(left.is_empty());
    hours_older(1).await;
    let seen = lan.get("/dashboard").await;
    assert_eq!(seen.status, 303);
    assert_eq!(lan.sign_in(OLD, PASSWORD).await.status, 303);
}

#[actix_web::test]
async fn the_rules_for_sign_in_are_reloaded() {
    let rule = |required| format!("[sign_in]\noperators_need_second_factor = {required}\n");
    let gateway = Gateway::configured(Backend::Sqlite, &rule(false), &[]);
    let create = ["account", "create", "--operator", "--email", OLD];
    gateway.nexo(&[&create[..], &["--password", PASSWORD]].concat());
    let mut operator = Visitor::of(&gateway);
    operator.sign_in(OLD, PASSWORD).await;
    assert_eq!(operator.get("/dashboard").await.status, 200);
    gateway.reload(&rule(true));
    until("the new rule", TIMEOUT, async || {
        (operator.get("/dashboard").await.location() == FACTOR).then_some(())
    })
    .await;
}
