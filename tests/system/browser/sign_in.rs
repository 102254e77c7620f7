//! How somebody comes in: by a letter, by a new password, with a second factor; and how a key is replaced.

use fantoccini::Locator;

use super::chromium::{Browser, Screen};
use harness::mailbox::{Email, Mailbox};
use harness::visitor::{PASSWORD, app_code, between};
use harness::{Backend, Gateway};

const EMAIL: &str = "lan@example.com";
const FACTOR: &str = "/dashboard/settings/second-factor";

async fn come_in(screen: Screen, language: &str, name: &str) {
    let mailbox = Mailbox::start();
    let settings = [("NEXO_MAIL__SMTP_URL", mailbox.url())];
    let settings = settings
        .each_ref()
        .map(|(key, value)| (*key, value.as_str()));
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let mut b = Browser::open(&gateway.url, screen, language, name).await;

    b.goto("/auth/sign-up").await;
    b.fill("email", EMAIL).await;
    b.fill("password", PASSWORD).await;
    b.follow("form button[type=submit]").await;
    b.look("look-into-your-mail").await;
    let letter = mailbox.wait_for(EMAIL, 1).await;
    b.goto(&link(&letter, "/auth/confirm?token=")).await;
    b.wait_for(EMAIL).await;
    b.look("confirm").await;
    b.follow("form[action='/auth/confirm'] button").await;
    assert_eq!(b.path().await, "/dashboard");

    b.goto("/dashboard/api-keys").await;
    b.fill("name", "server").await;
    b.follow("#new button[type=submit]").await;
    let first = secret(&b).await;
    b.goto("/dashboard/api-keys").await;
    b.follow("a[href$='/rotate']").await;
    b.look("key-rotate").await;
    b.follow("form[action$='/rotate'] button").await;
    b.look("key-rotated").await;
    assert_ne!(secret(&b).await, first);

    b.goto(FACTOR).await;
    let hidden = b
        .client
        .find(Locator::Css("input[name=secret]"))
        .await
        .unwrap();
    let shared = hidden.prop("value").await.unwrap().unwrap();
    b.fill("code", &app_code(&shared, 0)).await;
    b.fill("password", PASSWORD).await;
    b.follow(&format!("form[action='{FACTOR}'] button")).await;
    b.look("recovery-code").await;
    let recovery = secret(&b).await;
    b.goto(FACTOR).await;
    b.look("factor-is-on").await;

    // A code is good for one entry.
    for (code, what) in [
        (app_code(&shared, 1), "second-step"),
        (recovery, "by-recovery-code"),
    ] {
        b.client.delete_all_cookies().await.unwrap();
        b.goto("/auth/sign-in").await;
        b.fill("email", EMAIL).await;
        b.fill("password", PASSWORD).await;
        b.follow("form[action='/auth/sign-in'] button").await;
        assert_eq!(b.path().await, "/auth/second-step");
        b.look(what).await;
        b.fill("code", "000000").await;
        b.follow("form[action='/auth/second-step'] button").await;
        b.look("wrong-code").await;
        b.fill("code", &code).await;
        b.follow("form[action='/auth/second-step'] button").await;
        assert_eq!(b.path().await, "/dashboard");
    }

    b.client.delete_all_cookies().await.unwrap();
    b.goto("/auth/reset").await;
    b.fill("email", EMAIL).await;
    b.follow("form[action='/auth/reset'] button").await;
    b.look("reset-asked").await;
    let letter = mailbox.wait_for(EMAIL, 2).await;
    b.goto(&link(&letter, "/auth/new-password?token=")).await;
    b.look("new-password").await;
    b.client.clone().close().await.unwrap();
}

/// The path of the letter's link that begins so.
fn link(letter: &Email, path: &str) -> String {
    let token = between(&letter.text, path, "\n").unwrap_or_else(|| panic!("{letter:?}"));
    format!("{path}{}", token.trim())
}

/// What the page shows once.
async fn secret(b: &Browser) -> String {
    let secret = b.client.find(Locator::Id("secret")).await.unwrap();
    secret.prop("value").await.unwrap().unwrap()
}

#[actix_web::test]
async fn who_comes_in_on_a_wide_screen_in_english() {
    come_in(Screen::Wide, "en", "doors-wide-en").await;
}

#[actix_web::test]
async fn who_comes_in_on_a_phone_in_vietnamese() {
    come_in(Screen::Phone, "vi", "doors-phone-vi").await;
}

#[actix_web::test]
async fn who_comes_in_without_scripts() {
    come_in(Screen::NoScript, "en", "doors-no-script").await;
}
