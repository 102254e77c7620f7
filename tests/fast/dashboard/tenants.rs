//! Isolation of accounts: the objects of one account are not found by another.

use harness::visitor::Visitor;
use harness::{Backend, Gateway, Receiver, client, per_database, phone};

#[per_database]
async fn every_route_answers_404_for_ids_of_another_account(backend: Backend) {
    let gateway = Gateway::start(
        backend,
        &[("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")],
    );
    let receiver = Receiver::start();
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let mut eve = Visitor::signed_up(&gateway, "eve@example.com").await;
    let key = lan.new_key("server").await;
    let hooks = "/dashboard/webhooks";
    lan.submit(hooks, hooks, &[("url", &receiver.url())]).await;
    let url = format!("{}/api/v1/send-otp", gateway.url);
    let body = format!(r#"{{"phone":"{}","code":"482917"}}"#, phone(90));
    let sent = client().post(url).bearer_auth(&key).body(body);
    let sent = harness::answer(sent).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let delivery = sent.json["id"].as_str().unwrap().to_owned();
    let attempt = receiver.next().header("x-nexo-attempt-id").to_owned();
    let keys = "/dashboard/api-keys";
    let key = lan.id_after(keys, "/dashboard/api-keys/").await;
    let hook = lan.id_after(hooks, "/dashboard/webhooks/").await;
    let integrations = "/dashboard/integrations";
    lan.submit(integrations, integrations, &[("name", "login"), ("kind", "logto")]).await;
    let integration = lan.id_after(integrations, "/dashboard/integrations/").await;
    let settings = "/dashboard/settings";
    let mut other = Visitor::of(&gateway);
    other.sign_in("lan@example.com", harness::visitor::PASSWORD).await;
    let session = lan.id_after(settings, "/dashboard/settings/sessions/").await;

    let token = eve.get(settings).await.form_token().unwrap().to_owned();
    let own = lan.get(settings).await.form_token().unwrap().to_owned();
    let pages = [
        format!("/dashboard/deliveries/{delivery}"),
        format!("/dashboard/webhook-attempts/{attempt}"),
        format!("/dashboard/webhooks/{hook}"),
        format!("/dashboard/webhooks/{hook}/remove"),
        format!("/dashboard/webhooks/{hook}/rotate"),
        format!("/dashboard/api-keys/{key}/revoke"),
        format!("/dashboard/api-keys/{key}/rotate"),
        format!("/dashboard/api-keys/{key}/allowlist"),
        format!("/dashboard/integrations/{integration}"),
        format!("/dashboard/integrations/{integration}/remove"),
    ];
    let before: Vec<u16> = {
        let mut seen = Vec::new();
        for page in &pages {
            seen.push(lan.get(page).await.status);
        }
        seen
    };
    assert_eq!(before, vec![200; pages.len()]);
    for page in &pages {
        assert_eq!(eve.get(page).await.status, 404, "{page}");
    }
    let forms = [
        format!("/dashboard/webhook-attempts/{attempt}/replay"),
        format!("/dashboard/webhooks/{hook}/pause"),
        format!("/dashboard/webhooks/{hook}/resume"),
        format!("/dashboard/webhooks/{hook}/test"),
        format!("/dashboard/webhooks/{hook}/events"),
        format!("/dashboard/webhooks/{hook}/rotate"),
        format!("/dashboard/webhooks/{hook}/replay-failed"),
        format!("/dashboard/webhooks/{hook}/remove"),
        format!("/dashboard/api-keys/{key}/allowlist"),
        format!("/dashboard/api-keys/{key}/rotate"),
        format!("/dashboard/api-keys/{key}/revoke"),
        format!("/dashboard/settings/sessions/{session}/end"),
        format!("/dashboard/integrations/{integration}/test"),
        format!("/dashboard/integrations/{integration}/remove"),
    ];
    let fields = |token: &'_ str| {
        vec![
            ("form_token".to_owned(), token.to_owned()),
            ("since".to_owned(), "2020-01-01".to_owned()),
            ("code".to_owned(), "482917".to_owned()),
        ]
    };
    for form in &forms {
        let fields = fields(&token);
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(eve.post(form, &fields).await.status, 404, "{form}");
    }
    // A search does not find the other account's delivery, and its objects are unchanged.
    let found = eve.get(&format!("/dashboard/deliveries?q={delivery}")).await;
    assert_eq!(found.status, 200);
    assert!(!found.text.contains(&format!("/dashboard/deliveries/{delivery}")), "{}", found.text);
    for page in &pages {
        assert_eq!(lan.get(page).await.status, 200, "{page}");
    }
    assert_eq!(other.get(settings).await.status, 200);
    assert!(receiver.try_next().is_none());
    // The owner's forms are accepted.
    for form in &forms {
        let fields = fields(&own);
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let seen = lan.post(form, &fields).await;
        let expected = if form.ends_with("/rotate") { 201 } else { 303 };
        // The rotated key is already revoked. Revoking it again gets the same response.
        assert_eq!(seen.status, expected, "{form}: {}", seen.text);
    }
}
