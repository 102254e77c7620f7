//! Tests of the protection against forged forms, and of the security headers of every page.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::routes::routes;
use harness::visitor::{PASSWORD, PageResponse, Visitor, between};
use harness::waiting;
use harness::{Backend, Gateway, Receiver, answer, client, phone};

const LAN: &str = "lan@example.com";
const OPERATOR: &str = "op@example.com";
const UNKNOWN_ID: &str = "8f2e1c4d-0000-4000-8000-000000000001";

/// The path of every form.
fn forms() -> Vec<String> {
    let routes = routes().into_iter().filter(|route| route.has_form);
    routes.map(|route| route.path.replace("{id}", UNKNOWN_ID)).collect()
}

/// Posts forged forms: without a token, with a token of another session, and from another site.
async fn must_refuse(visitor: &mut Visitor, path: &str, token: &str, foreign_token: &str) {
    for wrong in ["", "x", foreign_token] {
        let seen = visitor.post(path, &[("form_token", wrong)]).await;
        assert_eq!(seen.status, 403, "{path} with {wrong:?}");
    }
    assert_eq!(visitor.post(path, &[]).await.status, 403, "{path}");
    for (name, value) in
        [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")]
    {
        visitor.headers = vec![(name.to_owned(), value.to_owned())];
        let seen = visitor.post(path, &[("form_token", token)]).await;
        assert_eq!(seen.status, 403, "{path} with {name}: {value}");
        visitor.headers.clear();
    }
}

#[actix_web::test]
async fn a_form_without_its_token_or_from_another_site_is_403() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    // Operators can access every form.
    let mut lan = operator(&gateway).await.0;
    let page = lan.get("/dashboard/settings").await;
    let token = page.form_token().unwrap().to_owned();
    let mut eve = Visitor::signed_up(&gateway, "eve@example.com").await;
    let page = eve.get("/dashboard/settings").await;
    let foreign_token = page.form_token().unwrap().to_owned();
    let forms = forms();
    for expected in [
        "/auth/sign-in",
        "/dashboard/wallet/top-up",
        "/dashboard/referrals/wallet",
        &format!("/dashboard/api-keys/{UNKNOWN_ID}/allowlist"),
        &format!("/dashboard/operators/deposits/{UNKNOWN_ID}/approve"),
    ] {
        assert!(forms.iter().any(|path| path == expected), "{forms:?}");
    }
    for path in &forms {
        must_refuse(&mut lan, path, &token, &foreign_token).await;
    }
    // A forged form does not sign in a visitor without a session.
    let mut visitor = Visitor::of(&gateway);
    let page = visitor.get("/auth/sign-in").await;
    let visitor_token = page.form_token().unwrap().to_owned();
    let public = |path: &&String| path.starts_with("/auth/") && !path.contains("/sign-out");
    for path in forms.iter().filter(public) {
        must_refuse(&mut visitor, path, &visitor_token, &foreign_token).await;
    }
    assert_eq!(lan.get("/dashboard").await.status, 200);
    let actions = gateway.nexo(&["operator", "actions"]);
    assert_eq!(actions["actions"].as_array().unwrap().len(), 0, "{actions}");
    // A form with its token from this site is accepted.
    lan.headers = vec![("Origin".to_owned(), lan.base.clone())];
    let fields = [("form_token", token.as_str()), ("pages", "vi")];
    let seen = lan.post("/dashboard/settings/languages", &fields).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
}

/// Creates an operator and signs in. Also returns the response to the sign-in.
async fn operator(gateway: &Gateway) -> (Visitor, PageResponse) {
    let create = ["account", "create", "--operator", "--email", OPERATOR];
    gateway.nexo(&[&create[..], &["--password", PASSWORD]].concat());
    let mut operator = Visitor::of(gateway);
    let seen = operator.sign_in(OPERATOR, PASSWORD).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    (operator, seen)
}

/// Asserts the security headers: no external content, no embedding in frames, no inline scripts or styles.
fn must_be_protected(path: &str, seen: &PageResponse) {
    let policy = seen.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("frame-ancestors 'none'")
            && !policy.contains("unsafe"),
        "{path}: {policy}"
    );
    assert_eq!(seen.header("x-content-type-options"), "nosniff", "{path}");
    assert!(!seen.header("referrer-policy").is_empty(), "{path}");
    assert!(seen.header("strict-transport-security").starts_with("max-age="), "{path}");
    for inline in ["style=\"", "<style", "onclick", "javascript:"] {
        assert!(!seen.text.contains(inline), "{path} has {inline}");
    }
    for script in seen.text.split("<script").skip(1) {
        assert!(
            script.starts_with(" src=\"/assets/") && between(script, ">", "<") == Some(""),
            "{path} has {}",
            script.split("</script").next().unwrap()
        );
    }
}

#[actix_web::test]
async fn every_page_has_the_security_headers() {
    let gateway =
        Gateway::start(Backend::Sqlite, &[("NEXO_SERVER__PUBLIC_URL", "https://otp.example.com")]);
    let mut visitor = Visitor::of(&gateway);
    let page = visitor.get("/auth/sign-in").await;
    let cookie = page.header("set-cookie");
    assert!(cookie.starts_with("__Host-nexo_visit=") && cookie.contains("Secure"), "{cookie}");
    let style = harness::visitor::between(&page.text, "href=\"/assets/style", "\"").unwrap();
    let style = visitor.get(&format!("/assets/style{style}")).await;
    assert_eq!(style.header("cache-control"), "public, max-age=31536000, immutable");
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
        must_be_protected(path, &seen);
    }
}

#[actix_web::test]
async fn a_browser_gets_a_page_at_an_unknown_address_and_an_api_client_json() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut visitor = Visitor::of(&gateway);
    for path in ["/nothing", "/de/preise"] {
        assert!(visitor.get(path).await.text.starts_with("{\"ok\":false"), "{path}");
    }
    visitor.headers.push(("Accept".to_owned(), "text/html,*/*;q=0.8".to_owned()));
    for path in ["/nothing", "/de/preise"] {
        let seen = visitor.get(path).await;
        assert_eq!(seen.status, 404, "{path}");
        seen.must_contain("<h1>");
    }
    assert!(visitor.get("/api/v1/nothing").await.text.starts_with("{\"ok\":false"));
    assert_eq!(visitor.get("/healthz").await.status, 200);
}

/// The target path of each form on a page, with `{id}` in place of ids.
fn form_actions(seen: &PageResponse) -> Vec<String> {
    let tags = seen.text.split("<form").skip(1);
    let tags = tags.map(|rest| rest.split('>').next().unwrap());
    let posting = tags.filter(|tag| tag.contains("method=\"post\""));
    posting
        .map(|tag| {
            let path = between(tag, "action=\"", "\"").unwrap_or_else(|| panic!("{tag}"));
            let parts = path.split('/').map(|part| match Uuid::parse_str(part) {
                Ok(_) => "{id}",
                Err(_) => part,
            });
            parts.collect::<Vec<_>>().join("/")
        })
        .collect()
}

/// Creates one of everything that has a page for the member. Returns their ids by the path segment before the id.
async fn one_of_each(gateway: &Gateway, lan: &mut Visitor) -> BTreeMap<&'static str, String> {
    let receiver = Receiver::start();
    let key = lan.new_key("server").await;
    let (keys, hooks) = ("/dashboard/api-keys", "/dashboard/webhooks");
    lan.submit(hooks, hooks, &[("url", &receiver.url())]).await;
    let url = format!("{}/api/v1/send-otp", gateway.url);
    let body = format!(r#"{{"phone":"{}","code":"482917"}}"#, phone(90));
    let sent = answer(client().post(url).bearer_auth(&key).body(body)).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let attempt = receiver.next().header("x-nexo-attempt-id").to_owned();
    let integrations = "/dashboard/integrations";
    lan.submit(integrations, integrations, &[("name", "login"), ("kind", "logto")]).await;
    let url = format!("{}/api/v1/verifications", gateway.url);
    let body = format!(r#"{{"phone":"{}"}}"#, phone(90));
    let started = answer(client().post(url).bearer_auth(&key).body(body)).await;
    assert_eq!(started.status, 202, "{}", started.text);
    waiting::one_of_each(gateway, lan, LAN).await;
    let accounts = gateway.nexo(&["account", "list"]);
    let text = |id: &serde_json::Value| id.as_str().unwrap().to_owned();
    BTreeMap::from([
        ("accounts", text(&accounts["accounts"][0]["id"])),
        ("api-keys", lan.id_after(keys, "/dashboard/api-keys/").await),
        ("deliveries", text(&sent.json["id"])),
        ("integrations", lan.id_after(integrations, "/dashboard/integrations/").await),
        ("top-up", waiting::top_up(gateway, LAN, "10.00").0),
        ("webhooks", lan.id_after(hooks, "/dashboard/webhooks/").await),
        ("webhook-attempts", attempt),
        ("verifications", text(&started.json["id"])),
    ])
}

#[actix_web::test]
async fn the_pages_of_members_and_operators_have_the_security_headers() {
    let settings = [
        ("NEXO_SERVER__PUBLIC_URL", "https://otp.example.com"),
        ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
        ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
    ];
    let gateway = Gateway::start(Backend::Sqlite, &[&settings[..], &waiting::BANK].concat());
    let mut lan = Visitor::signed_up(&gateway, LAN).await;
    let ids = one_of_each(&gateway, &mut lan).await;
    let (mut operator, response) = operator(&gateway).await;
    let cookies = response.headers.get_all("set-cookie");
    let mut cookies = cookies.iter().map(|cookie| cookie.to_str().unwrap());
    let session = cookies.find(|cookie| cookie.starts_with("__Host-nexo_session="));
    let session = session.unwrap_or_else(|| panic!("{:?}", response.headers));
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(session.split("; ").any(|a| a == attribute), "{session}");
    }
    let routes = routes();
    let mut forms = BTreeSet::new();
    for route in routes.iter().filter(|route| route.has_page) {
        let visitor = match route.path.strip_prefix("/dashboard") {
            Some(path) if path.starts_with("/operators/") => &mut operator,
            Some(_) => &mut lan,
            None => continue,
        };
        let path = match route.path.split_once("/{id}") {
            Some((before, after)) => {
                let kind = before.rsplit('/').next().unwrap();
                let id = match ids.get(kind) {
                    Some(id) => id.clone(),
                    // The list of an operator's decisions links to each.
                    None => {
                        let list = before.replace("/payments", "/deposits");
                        visitor.id_after(&list, &format!("{before}/")).await
                    }
                };
                format!("{before}/{id}{after}")
            }
            None => route.path.clone(),
        };
        // Confirmations of what a form has asked for.
        let asked = match path.rsplit('/').next() {
            Some("credit") if path.contains("/accounts/") => "?amount=1.00&reference=r1",
            Some("run") => "?month=2026-01",
            Some("drain") => "?carrier=viettel&gateway=sandbox&drained=yes",
            _ => "",
        };
        if !asked.is_empty() {
            let bare = visitor.get(&path).await;
            assert!([303, 404].contains(&bare.status), "{path}: {}", bare.text);
            must_be_protected(&path, &bare);
        }
        let path = format!("{path}{asked}");
        let seen = visitor.get(&path).await;
        assert_eq!(seen.status, 200, "{path}: {}", seen.text);
        must_be_protected(&path, &seen);
        for form in form_actions(&seen) {
            let is_known = routes.iter().any(|r| r.has_form && r.path == form);
            assert!(is_known, "{path} has a form to {form}");
            forms.insert(form);
        }
    }
    assert!(forms.len() >= 25, "{forms:?}");
    for visitor in [&mut lan, &mut operator] {
        let (nowhere, keys) = ("/dashboard/operators/nothing", "/dashboard/api-keys");
        for (path, seen) in
            [(nowhere, visitor.get(nowhere).await), (keys, visitor.post(keys, &[]).await)]
        {
            assert!([404, 403].contains(&seen.status), "{path}: {}", seen.text);
            must_be_protected(path, &seen);
        }
    }
}

#[actix_web::test]
async fn pages_are_shown_in_both_languages() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut visitor = Visitor::of(&gateway);
    visitor.headers = vec![("Accept-Language".into(), "vi-VN,vi;q=0.9".into())];
    assert_eq!(visitor.get("/").await.location(), "/vi");
    visitor.headers.clear();
    visitor.get("/en").await.must_contain("<html lang=\"en\">");
    visitor.get("/vi").await.must_contain("<html lang=\"vi\">").must_contain("điện thoại đọc mã");
    // The chosen language is remembered.
    visitor.get("/auth/sign-in").await.must_contain("Đăng nhập");
    visitor.get("/auth/sign-in?lang=en").await.must_contain("Welcome back.");
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let fields = [("pages", "vi"), ("calls", "en")];
    let page = "/dashboard/settings";
    lan.submit(page, "/dashboard/settings/languages", &fields).await;
    let seen = lan.get(page).await;
    seen.must_contain("<html lang=\"vi\">");
    seen.must_contain("<option value=\"en\" selected>Tiếng Anh</option>");
}
