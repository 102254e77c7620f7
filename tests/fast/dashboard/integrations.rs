//! Tests of the pages of integrations: create, paste, test, use, remove.

use std::time::Duration;

use harness::visitor::{Visitor, between};
use harness::{Backend, Gateway, answer, client, per_database, phone, until};

const PAGE: &str = "/dashboard/integrations";
const KINDS: [&str; 8] =
    ["supabase", "logto", "kratos", "zitadel", "authentik", "keycloak", "auth0", "custom"];

fn fields<'f>(kind: &'f str, more: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let pointers = match kind {
        "custom" => [("phone_pointer", "/user/phone"), ("code_pointer", "/code")],
        _ => [("phone_pointer", ""), ("code_pointer", "")],
    };
    [&[("name", "đăng nhập <1>"), ("kind", kind)], &pointers[..], more].concat()
}

#[per_database]
async fn what_a_page_says_to_paste_works_and_its_secret_is_shown_once(backend: Backend) {
    let gateway = Gateway::start(backend, &[("NEXO_CALLS__REPEAT", "1")]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    lan.get(PAGE).await.must_contain("No integrations yet");
    let created = lan.submit(PAGE, PAGE, &fields("logto", &[])).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let secret = created.secret();
    assert!(secret.starts_with("hook_"), "{secret}");
    created.must_contain(&format!("Bearer {secret}")).must_contain("Authorization Header");
    let id = lan.id_after(PAGE, "/dashboard/integrations/").await;
    let path = format!("{PAGE}/{id}");
    let page = lan.get(&path).await;
    page.must_contain("đăng nhập &lt;1&gt;").must_contain("Bearer &lt;secret&gt;");
    assert!(!page.text.contains(&secret));
    assert!(!lan.get(PAGE).await.text.contains(&secret));
    let url = between(&page.text, "id=\"url\"", ">").unwrap();
    let url = between(url, "value=\"", "\"").unwrap();
    let hook = format!("{}{}", gateway.url, &url[url.find("/api/").unwrap()..]);
    let body = format!(r#"{{"to":"{}","payload":{{"code":"482917"}}}}"#, &phone(90)[1..]);
    let sent = answer(client().post(&hook).bearer_auth(&secret).body(body.clone())).await;
    assert_eq!((sent.status, sent.text.as_str()), (200, "{}"));
    until("the use is shown", Duration::from_secs(10), async || {
        let list = lan.clone().get(PAGE).await;
        (!list.text.contains("never")).then_some(())
    })
    .await;
    lan.get(&format!("{path}/remove")).await.must_contain("404 within a second");
    let removed = lan.submit(&format!("{path}/remove"), &format!("{path}/remove"), &[]).await;
    assert_eq!(removed.location(), "/dashboard/integrations?told=removed");
    lan.get(removed.location()).await.must_contain("The integration was removed");
    assert_eq!(lan.get(&path).await.status, 404);
    until("the removal is noticed", Duration::from_secs(2), async || {
        let gone = client().post(&hook).bearer_auth(&secret).body(body.clone());
        (answer(gone).await.status == 404).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_test_of_each_kind_leads_to_its_delivery() {
    let gateway = Gateway::start(Backend::Sqlite, &[("NEXO_CALLS__REPEAT", "1")]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    for kind in KINDS {
        let created = lan.submit(PAGE, PAGE, &fields(kind, &[])).await;
        assert_eq!(created.status, 201, "{kind}: {}", created.text);
        let list = gateway.nexo(&["integration", "list"]);
        let all = list["integrations"].as_array().unwrap();
        let one = all.iter().find(|one| one["kind"] == kind).unwrap();
        let path = format!("{PAGE}/{}", one["id"].as_str().unwrap());
        let test = format!("{path}/test");
        let sent = lan.submit(&path, &test, &[("ending", "67"), ("code", "482917")]).await;
        assert_eq!(sent.status, 303, "{kind}: {}", sent.text);
        let delivery = sent.location().to_owned();
        assert!(delivery.starts_with("/dashboard/deliveries/"), "{delivery}");
        until("the call ends", Duration::from_secs(60), async || {
            let seen = lan.clone().get(&delivery).await;
            (!seen.text.contains("data-live")).then_some(())
        })
        .await;
        lan.get(&delivery).await.must_contain("delivered").must_contain("$0.00");
        // Refusals are shown as the API tells them.
        let busy = lan.submit(&path, &test, &[("ending", "95"), ("code", "482917")]).await;
        busy.must_contain("The API answered 502").must_contain("no_route");
        let letters = lan.submit(&path, &test, &[("ending", "67"), ("code", "A1B2C3")]).await;
        assert_eq!(letters.status, 400, "{kind}");
        letters.must_contain("invalid_code");
    }
    // A test is no use, and costs nothing.
    lan.get("/dashboard/wallet").await.must_contain("$0.11");
    gateway.audit();
}

#[actix_web::test]
async fn a_wrong_form_says_what_is_wrong_and_repeats_no_secret() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    for (kind, more, text) in [
        ("logto", [("name", ""), ("secret", "")], "A name is 1 to 64 characters"),
        ("logto", [("name", "n"), ("secret", "shorty")], "no secret of this kind"),
        ("supabase", [("name", "n"), ("secret", "my-own-secret")], "no secret of this kind"),
        ("custom", [("name", "n"), ("phone_pointer", "phone")], "two JSON pointers"),
        ("custom", [("name", "n"), ("code_pointer", "")], "two JSON pointers"),
        ("logto", [("name", "n"), ("phone_pointer", "/phone")], "two JSON pointers"),
    ] {
        let mut fields = fields(kind, &[]);
        for (name, value) in more {
            fields.retain(|(known, _)| *known != name);
            fields.push((name, value));
        }
        let refused = lan.submit(PAGE, PAGE, &fields).await;
        assert_eq!(refused.status, 400, "{kind} {more:?}");
        refused.must_contain(text);
        assert!(!refused.text.contains("my-own-secret") && !refused.text.contains("shorty"));
    }
    let given = fields("zitadel", &[("secret", "the-key-of-zitadel")]);
    let created = lan.submit(PAGE, PAGE, &given).await;
    assert_eq!((created.status, created.secret().as_str()), (201, "the-key-of-zitadel"));
    for _ in 0..19 {
        assert_eq!(lan.submit(PAGE, PAGE, &fields("logto", &[])).await.status, 201);
    }
    let refused = lan.submit(PAGE, PAGE, &fields("logto", &[])).await;
    assert_eq!(refused.status, 409);
    refused.must_contain("at most 20 integrations");
}
