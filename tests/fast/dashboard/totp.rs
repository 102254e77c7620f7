//! The second factor.

use harness::visitor::{PASSWORD, Visitor, app_code, between};
use harness::{Backend, Gateway, per_database};

const PAGE: &str = "/dashboard/settings/second-factor";

#[per_database]
async fn a_second_factor_is_asked_for_and_each_code_is_taken_once(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let setup = lan.get(PAGE).await;
    let secret = between(&setup.text, "name=\"secret\" value=\"", "\"")
        .unwrap()
        .to_owned();
    setup.must_say("role=\"img\"");
    let token = setup.form_token().unwrap().to_owned();
    // The code of one step and of the next one: each may be a step old by the time it is looked at.
    let (used, now) = (app_code(&secret, 0), app_code(&secret, 1));
    let put = |code: &str, password: &'static str| {
        [
            ("secret", secret.clone()),
            ("code", code.to_owned()),
            ("password", password.to_owned()),
            ("form_token", token.clone()),
        ]
    };
    for (code, password) in [("000000", PASSWORD), (used.as_str(), "wrong password")] {
        let fields = put(code, password);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(lan.post(PAGE, &fields).await.status, 400);
    }
    let fields = put(&used, PASSWORD);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let done = lan.post(PAGE, &fields).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let recovery = done.secret();

    let mut phone = Visitor::of(&gateway);
    let entered = phone.sign_in("a@example.com", PASSWORD).await;
    assert!(
        entered.location().starts_with("/auth/second-step"),
        "{entered:?}"
    );
    assert!(!phone.cookies.contains_key("nexo_session"));
    let step = "/auth/second-step";
    assert_eq!(
        phone.submit(step, step, &[("code", &used)]).await.status,
        400
    );
    let entered = phone.submit(step, step, &[("code", &now)]).await;
    assert_eq!((entered.status, entered.location()), (303, "/dashboard"));
    assert_eq!(phone.get("/dashboard").await.status, 200);

    // The password changes, and the factor stays.
    let fields = [("present", PASSWORD), ("new", "another password")];
    let path = "/dashboard/settings/password";
    assert_eq!(
        phone
            .submit("/dashboard/settings", path, &fields)
            .await
            .status,
        303
    );
    let mut lost = Visitor::of(&gateway);
    let entered = lost.sign_in("a@example.com", "another password").await;
    assert!(
        entered.location().starts_with("/auth/second-step"),
        "{entered:?}"
    );
    let typed = recovery.to_lowercase().replace('-', " ");
    let entered = lost.submit(step, step, &[("code", &typed)]).await;
    assert_eq!((entered.status, entered.location()), (303, "/dashboard"));
    let mut after = Visitor::of(&gateway);
    let entered = after.sign_in("a@example.com", "another password").await;
    assert_eq!(entered.location(), "/dashboard");
}
