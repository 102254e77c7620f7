//! Tests of the passwords that are refused: common ones, and names of the product, the site and the account.

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use harness::visitor::{PASSWORD, Visitor, between};
use harness::{Backend, Gateway, until};
use nexo_entities::Store;
use nexo_entities::store::accounts::NewAccount;

/// Common passwords, names of the product, of the site and of the account `lan.nguyen@vietfone.vn`.
const REFUSED: [&str; 9] = [
    "password123",
    "qwertyuiop",
    "QWERTYUIOP2026",
    "P@ssw0rd2026!",
    "nexoroute2026",
    "Nexo-Route-2026",
    "gateway-test-99",
    "lan.nguyen.2026",
    "vietfone2026!",
];
const EMAIL: &str = "lan.nguyen@vietfone.vn";
const SITE: (&str, &str) = ("NEXO_SERVER__PUBLIC_URL", "http://otp.gateway-test.example:8080");

#[actix_web::test]
async fn guessable_passwords_are_refused_at_sign_up_and_change() {
    let gateway = Gateway::start(Backend::Sqlite, &[SITE]);
    for (n, password) in REFUSED.into_iter().enumerate() {
        let mut visitor = Visitor::of(&gateway);
        visitor.headers = vec![("X-Forwarded-For".into(), format!("198.51.100.{n}"))];
        let fields = [("email", EMAIL), ("password", password)];
        let path = "/auth/sign-up";
        let seen = visitor.submit(path, path, &fields).await;
        assert_eq!(seen.status, 400, "{password}: {}", seen.text);
        seen.must_contain("too easy to guess");
    }
    let mut lan = Visitor::signed_up(&gateway, EMAIL).await;
    for password in &REFUSED[..4] {
        let fields = [("present", PASSWORD), ("new", password)];
        let (page, path) = ("/dashboard/settings", "/dashboard/settings/password");
        let seen = lan.submit(page, path, &fields).await;
        assert_eq!(seen.status, 400, "{password}: {}", seen.text);
        seen.must_contain("too easy to guess");
    }
    lan.get("/dashboard/settings?lang=vi").await;
    let fields = [("present", PASSWORD), ("new", "password123")];
    let (page, path) = ("/dashboard/settings", "/dashboard/settings/password");
    let seen = lan.submit(page, path, &fields).await;
    seen.must_contain("quá dễ đoán");
}

#[actix_web::test]
async fn guessable_passwords_are_refused_at_a_reset() {
    let gateway = Gateway::start(Backend::Sqlite, &[SITE, ("RUST_LOG", "warn")]);
    let mut lan = Visitor::signed_up(&gateway, EMAIL).await;
    let path = "/auth/reset";
    lan.submit(path, path, &[("email", EMAIL)]).await;
    let link = "/auth/new-password?token=";
    let timeout = Duration::from_secs(10);
    let token = until("the link", timeout, async || {
        let log = gateway.log();
        between(&log, link, "\n").map(|token| token.trim().to_owned())
    })
    .await;
    let page = format!("{link}{token}");
    for password in &REFUSED[..6] {
        let fields = [("token", token.as_str()), ("password", password)];
        let seen = lan.submit(&page, "/auth/new-password", &fields).await;
        assert_eq!(seen.status, 400, "{password}: {}", seen.text);
        seen.must_contain("too easy to guess");
    }
    let fields = [("token", token.as_str()), ("password", "brand new password")];
    let seen = lan.submit(&page, "/auth/new-password", &fields).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
}

#[actix_web::test]
async fn an_older_account_keeps_its_common_password() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let store = Store::connect(&gateway.database_url(), 2).await.unwrap();
    let hash = Argon2::default().hash_password(b"password123").unwrap();
    let account = NewAccount {
        email: "old@example.com",
        password_hash: Some(hash.to_string()),
        operator: false,
        language: None,
        page_language: None,
        created_at_ms: 1_780_000_000_000,
    };
    store.accounts().create(account).await.unwrap();
    let mut old = Visitor::of(&gateway);
    let seen = old.sign_in("old@example.com", "password123").await;
    assert_eq!((seen.status, seen.location()), (303, "/dashboard"));
}
