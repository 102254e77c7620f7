//! Signing in: e-mail confirmation, password reset and second factor; and the rotation of an API key.

use fantoccini::Locator;

use super::chromium::{Browser, Screen};
use harness::mailbox::{Email, Mailbox};
use harness::visitor::{PASSWORD, app_code, between};
use harness::{Backend, Gateway};

const EMAIL: &str = "lan@example.com";
const FACTOR: &str = "/dashboard/settings/second-factor";

async fn walk(screen: Screen, language: &str, name: &str) {
    let mailbox = Mailbox::start();
    let settings = [("NEXO_MAIL__SMTP_URL", mailbox.url())];
    let settings = settings.each_ref().map(|(key, value)| (*key, value.as_str()));
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let mut b = Browser::open(&gateway.url, screen, language, name).await;

    b.goto("/auth/sign-up").await;
    b.fill("email", EMAIL).await;
    b.fill("password", PASSWORD).await;
    b.follow("form button[type=submit]").await;
    b.check_page("look-into-your-mail").await;
    let email = mailbox.wait_for(EMAIL, 1).await;
    b.goto(&link(&email, "/auth/confirm?token=")).await;
    b.wait_for(EMAIL).await;
    b.check_page("confirm").await;
    b.follow("form[action='/auth/confirm'] button").await;
    assert_eq!(b.path().await, "/dashboard");

    b.goto("/dashboard/api-keys").await;
    b.fill("name", "server").await;
    b.follow("#new button[type=submit]").await;
    let first = secret(&b).await;
    b.goto("/dashboard/api-keys").await;
    b.follow("a[href$='/rotate']").await;
    b.check_page("key-rotate").await;
    b.follow("form[action$='/rotate'] button").await;
    b.check_page("key-rotated").await;
    assert_ne!(secret(&b).await, first);

    b.goto(FACTOR).await;
    let hidden = b.client.find(Locator::Css("input[name=secret]")).await.unwrap();
    let shared = hidden.prop("value").await.unwrap().unwrap();
    b.fill("code", &app_code(&shared, 0)).await;
    b.fill("password", PASSWORD).await;
    b.follow(&format!("form[action='{FACTOR}'] button")).await;
    b.check_page("recovery-code").await;
    let recovery = secret(&b).await;
    b.goto(FACTOR).await;
    b.check_page("factor-is-on").await;

    // A code is valid for one sign-in.
    for (code, what) in [(app_code(&shared, 1), "second-step"), (recovery, "by-recovery-code")] {
        b.client.delete_all_cookies().await.unwrap();
        b.goto("/auth/sign-in").await;
        b.fill("email", EMAIL).await;
        b.fill("password", PASSWORD).await;
        b.follow("form[action='/auth/sign-in'] button").await;
        assert_eq!(b.path().await, "/auth/second-step");
        b.check_page(what).await;
        b.fill("code", "000000").await;
        b.follow("form[action='/auth/second-step'] button").await;
        b.check_page("wrong-code").await;
        b.fill("code", &code).await;
        b.follow("form[action='/auth/second-step'] button").await;
        assert_eq!(b.path().await, "/dashboard");
    }

    b.client.delete_all_cookies().await.unwrap();
    b.goto("/auth/reset").await;
    b.fill("email", EMAIL).await;
    b.follow("form[action='/auth/reset'] button").await;
    b.check_page("reset-asked").await;
    let path = "/auth/new-password?token=";
    let email = mailbox.wait_for_text(EMAIL, path).await;
    b.goto(&link(&email, path)).await;
    b.check_page("new-password").await;
    b.fill("password", "password2026").await;
    b.follow("form[action='/auth/new-password'] button").await;
    b.check_page("common-password").await;
    b.fill("password", "brand new password").await;
    b.follow("form[action='/auth/new-password'] button").await;
    b.fill("email", EMAIL).await;
    b.fill("password", "brand new password").await;
    b.follow("form[action='/auth/sign-in'] button").await;
    assert_eq!(b.path().await, "/dashboard/settings/access");
    b.check_page("access-review").await;
    b.click("input[type=checkbox]").await;
    b.follow("form[action='/dashboard/settings/access'] button").await;
    assert_eq!(b.path().await, "/dashboard/settings");
    b.check_page("access-reviewed").await;

    b.fill("email", "new@example.com").await;
    b.fill("confirm", "brand new password").await;
    b.follow("form[action$='/settings/email'] button").await;
    b.wait_for("new@example.com").await;
    b.check_page("address-pending").await;
    let path = "/auth/confirm-email?token=";
    let email = mailbox.wait_for_text("new@example.com", path).await;
    b.goto(&link(&email, path)).await;
    b.check_page("address-confirm").await;
    b.follow("form[action='/auth/confirm-email'] button").await;
    assert_eq!(b.path().await, "/dashboard/settings");
    b.goto("/dashboard/referrals").await;
    b.check_page("payout-method").await;
    b.client.clone().close().await.unwrap();
}

/// The path of the link in the e-mail that starts with `path`.
fn link(email: &Email, path: &str) -> String {
    let token = between(&email.text, path, "\n").unwrap_or_else(|| panic!("{email:?}"));
    format!("{path}{}", token.trim())
}

/// The secret that the page shows once.
async fn secret(b: &Browser) -> String {
    let secret = b.client.find(Locator::Id("secret")).await.unwrap();
    secret.prop("value").await.unwrap().unwrap()
}

#[actix_web::test]
async fn signing_in_on_a_wide_screen_in_english() {
    walk(Screen::Wide, "en", "doors-wide-en").await;
}

#[actix_web::test]
async fn signing_in_on_a_phone_in_vietnamese() {
    walk(Screen::Phone, "vi", "doors-phone-vi").await;
}

#[actix_web::test]
async fn signing_in_without_scripts() {
    walk(Screen::NoScript, "en", "doors-no-script").await;
}
