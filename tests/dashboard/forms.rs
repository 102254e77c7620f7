//! Forms that are not ours, and the headers of every page.

use crate::harness::{Backend, Gateway};
use crate::visitor::Visitor;

const NOBODYS: &str = "8f2e1c4d-0000-4000-8000-000000000001";

/// Every address that takes a form.
pub fn forms() -> Vec<String> {
    [
        "/auth/sign-in",
        "/auth/sign-up",
        "/auth/confirm",
        "/auth/reset",
        "/auth/new-password",
        "/auth/second-step",
        "/auth/sign-out",
        "/auth/sign-out-everywhere",
        "/dashboard/api-keys",
        "/dashboard/api-keys/{id}/revoke",
        "/dashboard/api-keys/{id}/rotate",
        "/dashboard/api-keys/{id}/allowlist",
        "/dashboard/webhooks",
        "/dashboard/webhooks/{id}/pause",
        "/dashboard/webhooks/{id}/resume",
        "/dashboard/webhooks/{id}/remove",
        "/dashboard/webhooks/{id}/rotate",
        "/dashboard/webhooks/{id}/test",
        "/dashboard/webhooks/{id}/replay-failed",
        "/dashboard/webhook-attempts/{id}/replay",
        "/dashboard/settings/languages",
        "/dashboard/settings/email",
        "/dashboard/settings/password",
        "/dashboard/settings/sessions/{id}/end",
        "/dashboard/settings/second-factor",
        "/dashboard/settings/second-factor/remove",
    ]
    .map(|path| path.replace("{id}", NOBODYS))
    .to_vec()
}

#[actix_web::test]
async fn a_form_without_its_token_or_from_another_site_is_403() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let page = lan.get("/dashboard/settings").await;
    let token = page.form_token().unwrap().to_owned();
    let mut eve = Visitor::signed_up(&gateway, "eve@example.com").await;
    let page = eve.get("/dashboard/settings").await;
    let eves = page.form_token().unwrap().to_owned();
    for path in forms() {
        for given in ["", "x", eves.as_str()] {
            let seen = lan.post(&path, &[("form_token", given)]).await;
            assert_eq!(seen.status, 403, "{path} with {given:?}");
        }
        for (name, value) in [
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
        ] {
            lan.headers = vec![(name.to_owned(), value.to_owned())];
            let seen = lan.post(&path, &[("form_token", &token)]).await;
            assert_eq!(seen.status, 403, "{path} with {name}: {value}");
            lan.headers.clear();
        }
    }
    assert_eq!(lan.get("/dashboard").await.status, 200);
}

#[actix_web::test]
async fn every_page_keeps_other_sites_and_scripts_out() {
    let gateway = Gateway::start(
        Backend::Sqlite,
        &[("NEXO_SERVER__PUBLIC_URL", "https://otp.example.com")],
    );
    let mut visitor = Visitor::of(&gateway);
    let page = visitor.get("/auth/sign-in").await;
    let cookie = page.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-nexo_visit=") && cookie.contains("Secure"),
        "{cookie}"
    );
    let style = crate::visitor::between(&page.text, "href=\"/assets/style", "\"").unwrap();
    let style = visitor.get(&format!("/assets/style{style}")).await;
    assert_eq!(
        style.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    for path in [
        "/",
        "/en",
        "/vi",
        "/docs",
        "/docs/openapi",
        "/auth/sign-in",
        "/auth/sign-up",
        "/auth/confirm",
        "/auth/reset",
        "/dashboard",
        "/dashboard/nothing",
        "/auth/nothing",
        "/assets/nothing",
    ] {
        let seen = visitor.get(path).await;
        let policy = seen.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'")
                && policy.contains("frame-ancestors 'none'")
                && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert_eq!(seen.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!seen.header("referrer-policy").is_empty(), "{path}");
        assert!(
            seen.header("strict-transport-security")
                .starts_with("max-age="),
            "{path}"
        );
        for inline in ["style=\"", "<style", "onclick", "javascript:"] {
            assert!(!seen.text.contains(inline), "{path} has {inline}");
        }
    }
}

#[actix_web::test]
async fn pages_speak_both_languages() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut visitor = Visitor::of(&gateway);
    visitor.headers = vec![("Accept-Language".into(), "vi-VN,vi;q=0.9".into())];
    assert_eq!(visitor.get("/").await.location(), "/vi");
    visitor.headers.clear();
    visitor.get("/en").await.must_say("<html lang=\"en\">");
    visitor
        .get("/vi")
        .await
        .must_say("<html lang=\"vi\">")
        .must_say("điện thoại đọc mã");
    // What was chosen is remembered.
    visitor.get("/auth/sign-in").await.must_say("Đăng nhập");
    visitor
        .get("/auth/sign-in?lang=en")
        .await
        .must_say("Welcome back.");
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let fields = [("pages", "vi"), ("calls", "en")];
    let page = "/dashboard/settings";
    lan.submit(page, "/dashboard/settings/languages", &fields)
        .await;
    let seen = lan.get(page).await;
    seen.must_say("<html lang=\"vi\">");
    seen.must_say("<option value=\"en\" selected>Tiếng Anh</option>");
}
