//! Tests of two-factor authentication.

use harness::visitor::{PASSWORD, Visitor, app_code, between};
use harness::{Backend, Gateway, per_database};

const PAGE: &str = "/dashboard/settings/second-factor";

#[per_database]
async fn a_second_factor_is_required_and_each_code_is_accepted_once(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let mut earlier = Visitor::of(&gateway);
    assert_eq!(earlier.sign_in("a@example.com", PASSWORD).await.status, 303);
    let known_before = lan.cookies["nexo_browser"].clone();
    let setup = lan.get(PAGE).await;
    let secret = between(&setup.text, "name=\"secret\" value=\"", "\"").unwrap().to_owned();
    setup.must_contain("role=\"img\"");
    let token = setup.form_token().unwrap().to_owned();
    // The codes of the current step and of the next one. Each may be one step old when it is checked.
    let (used, next) = (app_code(&secret, 0), app_code(&secret, 1));
    let form = |code: &str, password: &'static str| {
        [
            ("secret", secret.clone()),
            ("code", code.to_owned()),
            ("password", password.to_owned()),
            ("form_token", token.clone()),
        ]
    };
    for (code, password) in [("000000", PASSWORD), (used.as_str(), "wrong password")] {
        let fields = form(code, password);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(lan.post(PAGE, &fields).await.status, 400);
    }
    let fields = form(&used, PASSWORD);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let done = lan.post(PAGE, &fields).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let recovery = done.secret();
    // The other session ends, and this browser receives a new cookie.
    assert_eq!(earlier.get("/dashboard").await.status, 303);
    assert_eq!(lan.get("/dashboard").await.status, 200);
    assert_ne!(lan.cookies["nexo_browser"], known_before);

    let mut other_browser = Visitor::of(&gateway);
    let response = other_browser.sign_in("a@example.com", PASSWORD).await;
    assert!(response.location().starts_with("/auth/second-step"), "{response:?}");
    assert!(!other_browser.cookies.contains_key("nexo_session"));
    let step = "/auth/second-step";
    assert_eq!(other_browser.submit(step, step, &[("code", &used)]).await.status, 400);
    let response = other_browser.submit(step, step, &[("code", &next)]).await;
    assert_eq!((response.status, response.location()), (303, "/dashboard"));
    assert_eq!(other_browser.get("/dashboard").await.status, 200);

    // A password change keeps the second factor.
    let fields = [("present", PASSWORD), ("new", "another password")];
    let path = "/dashboard/settings/password";
    assert_eq!(other_browser.submit("/dashboard/settings", path, &fields).await.status, 303);
    let mut without_phone = Visitor::of(&gateway);
    let response = without_phone.sign_in("a@example.com", "another password").await;
    assert!(response.location().starts_with("/auth/second-step"), "{response:?}");
    let typed = recovery.to_lowercase().replace('-', " ");
    let response = without_phone.submit(step, step, &[("code", &typed)]).await;
    assert_eq!((response.status, response.location()), (303, "/dashboard"));
    // Without the second factor, only this session remains.
    assert_eq!(without_phone.get("/dashboard").await.status, 200);
    assert_eq!(other_browser.get("/dashboard").await.status, 303);
    let mut after = Visitor::of(&gateway);
    let response = after.sign_in("a@example.com", "another password").await;
    assert_eq!(response.location(), "/dashboard");
}

/// Turns the second factor on. Returns its secret, the code that was used and the recovery code.
async fn turn_on(visitor: &mut Visitor) -> (String, String, String) {
    let setup = visitor.get(PAGE).await;
    let secret = between(&setup.text, "name=\"secret\" value=\"", "\"").unwrap().to_owned();
    let code = app_code(&secret, 0);
    let fields = [
        ("secret", secret.as_str()),
        ("code", code.as_str()),
        ("password", PASSWORD),
        ("form_token", setup.form_token().unwrap()),
    ];
    let done = visitor.post(PAGE, &fields).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let recovery = done.secret();
    (secret, code, recovery)
}

#[per_database]
async fn a_second_factor_is_turned_off_only_with_a_code_or_the_recovery_code(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let remove = format!("{PAGE}/remove");
    let (secret, used, _) = turn_on(&mut lan).await;
    let next = app_code(&secret, 1);
    for (password, code, status) in [
        (PASSWORD, "", 400),
        (PASSWORD, "000000", 400),
        (PASSWORD, used.as_str(), 400),
        ("wrong password", next.as_str(), 400),
        (PASSWORD, next.as_str(), 303),
    ] {
        let fields = [("password", password), ("code", code)];
        let seen = lan.submit(PAGE, &remove, &fields).await;
        assert_eq!(seen.status, status, "{password} {code}: {}", seen.text);
    }
    let mut other = Visitor::of(&gateway);
    assert_eq!(other.sign_in("a@example.com", PASSWORD).await.location(), "/dashboard");

    let (_, _, recovery) = turn_on(&mut lan).await;
    assert_eq!(other.get("/dashboard").await.status, 303);
    let fields = [("password", PASSWORD), ("code", recovery.as_str())];
    let seen = lan.submit(PAGE, &remove, &fields).await;
    assert_eq!((seen.status, seen.location()), (303, "/dashboard/settings?saved=1"));
    assert_eq!(other.sign_in("a@example.com", PASSWORD).await.location(), "/dashboard");
}
