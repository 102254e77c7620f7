//! A new customer connects two auth servers: creates the integration, pastes what the page says, tests it, and sees the
//! delivery.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::Locator;
use harness::visitor::{PASSWORD, Visitor};
use harness::{Answer, Backend, Gateway, answer, client, phone};
use ring::hmac;

use super::chromium::{Browser, Screen};

async fn value(b: &Browser, id: &str) -> String {
    let field = b.client.find(Locator::Id(id)).await.unwrap();
    field.prop("value").await.unwrap().unwrap()
}

/// Fills the form and returns the URL and the secret that the next page shows.
async fn create(b: &mut Browser, kind: &str, name: &str) -> (String, String) {
    b.goto("/dashboard/integrations").await;
    b.fill("name", name).await;
    let kinds = b.client.find(Locator::Id("kind")).await.unwrap();
    kinds.select_by_value(kind).await.unwrap();
    b.follow("#new button[type=submit]").await;
    (value(b, "url").await, value(b, "secret").await)
}

/// Sends a test from the integration's page and waits for the end of the call on the delivery's.
async fn test(b: &mut Browser, name: &str, delivered: &str) {
    b.follow(".head a.button").await;
    b.check_page(name).await;
    b.follow("#test form button[type=submit]").await;
    assert!(b.path().await.starts_with("/dashboard/deliveries/"), "{}", b.path().await);
    b.wait_for(delivered).await;
}

fn hook(gateway: &Gateway, url: &str) -> reqwest::RequestBuilder {
    let path = &url[url.find("/api/").unwrap()..];
    let request = client().post(format!("{}{path}", gateway.url));
    request.header("Content-Type", "application/json")
}

/// As Supabase signs it.
async fn supabase(gateway: &Gateway, url: &str, secret: &str, phone: &str) -> Answer {
    let body = format!(r#"{{"user":{{"phone":"{}"}},"sms":{{"otp":"482917"}}}}"#, &phone[1..]);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seconds = since.as_secs();
    let key = STANDARD.decode(secret.strip_prefix("v1,whsec_").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signature = hmac::sign(&key, format!("msg_1.{seconds}.{body}").as_bytes());
    let request = hook(gateway, url)
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", seconds.to_string())
        .header("webhook-signature", format!("v1,{}", STANDARD.encode(signature)));
    answer(request.body(body)).await
}

async fn walk(screen: Screen, language: &str, delivered: &str) {
    let gateway = Gateway::start(Backend::Sqlite, &[("NEXO_CALLS__REPEAT", "1")]);
    let email = "lan@example.com";
    let mut visitor = Visitor::of(&gateway);
    visitor.headers.push(("Accept-Language".to_owned(), language.to_owned()));
    let fields = [("email", email), ("password", PASSWORD)];
    let seen = visitor.submit("/auth/sign-up", "/auth/sign-up", &fields).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    let mut b =
        Browser::open(&gateway.url, screen, language, &format!("integrations-{language}")).await;
    b.sign_in(email).await;
    let (url, secret) = create(&mut b, "supabase", "Supabase").await;
    b.check_page("supabase-created").await;
    assert!(secret.starts_with("v1,whsec_") && url.contains("/hooks/supabase/"), "{url}");
    test(&mut b, "supabase", delivered).await;
    // The page's own values, pasted into the auth server, ring a phone.
    let to = phone(90);
    let rang = supabase(&gateway, &url, &secret, &to).await;
    assert_eq!((rang.status, rang.text.as_str()), (200, "{}"));
    b.goto("/dashboard/deliveries").await;
    b.follow("tbody th a").await;
    b.wait_for(&to[3..]).await;

    let (url, secret) = create(&mut b, "keycloak", "Keycloak").await;
    b.check_page("keycloak-created").await;
    let pasted = b.client.find(Locator::Css("main")).await.unwrap().text().await.unwrap();
    assert!(pasted.contains(&format!("Bearer {secret}")) && pasted.contains("%1$s"), "{pasted}");
    test(&mut b, "keycloak", delivered).await;
    let to = phone(90);
    let body = format!(r#"{{"phone":"{to}","message":"482917"}}"#);
    let rang =
        answer(hook(&gateway, &url).header("Authorization", format!("Bearer {secret}")).body(body))
            .await;
    assert_eq!((rang.status, rang.text.as_str()), (200, "{}"));
    b.goto("/dashboard/deliveries").await;
    b.follow("tbody th a").await;
    b.wait_for(&to[3..]).await;
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_connects_two_auth_servers() {
    walk(Screen::Wide, "en", "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_connects_two_auth_servers_on_a_phone_in_vietnamese() {
    walk(Screen::Phone, "vi", "thành công").await;
}
