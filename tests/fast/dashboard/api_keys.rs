//! Tests of API keys and their allowlists.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;

use harness::visitor::Visitor;
use harness::{Answer, Backend, Gateway, answer, client, per_database};

const PAGE: &str = "/dashboard/api-keys";

async fn get_balance(gateway: &Gateway, key: &str, from: &str) -> Answer {
    let url = format!("{}/api/v1/balance", gateway.url);
    answer(client().get(url).bearer_auth(key).header("X-Forwarded-For", from)).await
}

#[per_database]
async fn a_key_is_shown_once_works_and_is_revoked(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let key = lan.new_key("máy chủ 1").await;
    assert!(key.starts_with("sk_live_") && key.len() >= 48, "{key}");
    let list = lan.get(PAGE).await;
    list.must_contain("máy chủ 1").must_contain(&key[key.len() - 4..]);
    assert!(!list.text.contains(&key));
    assert_eq!(get_balance(&gateway, &key, "").await.status, 200);
    let id = lan.id_after(PAGE, "/dashboard/api-keys/").await;

    let path = format!("{PAGE}/{id}/rotate");
    let rotated = lan.submit(&path, &path, &[]).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text);
    let new_key = rotated.secret();
    assert_eq!(get_balance(&gateway, &new_key, "").await.status, 200);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(1);
    while get_balance(&gateway, &key, "").await.status == 200 {
        assert!(std::time::Instant::now() < deadline, "the old key still works");
        tokio::task::yield_now().await;
    }
    let id = lan.id_after(PAGE, "/dashboard/api-keys/").await;
    let path = format!("{PAGE}/{id}/revoke");
    let revoked = lan.submit(&path, &path, &[]).await;
    lan.get(revoked.location()).await.must_contain("was revoked");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(1);
    while get_balance(&gateway, &new_key, "").await.status == 200 {
        assert!(std::time::Instant::now() < deadline, "the key still works");
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn names_are_escaped_as_text() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let name = "<script>alert(1)</script>";
    lan.new_key(name).await;
    let list = lan.get(PAGE).await;
    assert!(!list.text.contains("<script>alert"), "{}", list.text);
    list.must_contain("&lt;script&gt;alert(1)&lt;/script&gt;");
    let id = lan.id_after(PAGE, "/dashboard/api-keys/").await;
    for path in ["revoke", "rotate", "allowlist"] {
        let seen = lan.get(&format!("{PAGE}/{id}/{path}")).await;
        assert!(!seen.text.contains("<script>alert"), "{}", seen.text);
        seen.must_contain("&lt;script&gt;");
    }
    let found = lan.get("/dashboard/deliveries?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert_eq!(found.status, 200);
    found.must_contain("&lt;script&gt;alert(1)");
    assert!(!found.text.contains("<script>alert"), "{}", found.text);
}

#[per_database]
async fn a_thousand_creations_at_once_leave_ten_keys_and_five_endpoints(backend: Backend) {
    // The quotas of a day would refuse most of them before the store does.
    let unlimited =
        [("NEXO_QUOTAS__API_KEYS_PER_DAY", "0"), ("NEXO_QUOTAS__WEBHOOK_ENDPOINTS_PER_DAY", "0")];
    let gateway = Gateway::start(backend, &unlimited);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let token = lan.get(PAGE).await.form_token().unwrap().to_owned();
    for (path, name, value, most) in
        [(PAGE, "name", "server", 10), ("/dashboard/webhooks", "url", "https://1.1.1.1/hook", 5)]
    {
        let mut waiting = (0..1_000).map(|_| {
            let (mut lan, token) = (lan.clone(), token.clone());
            async move {
                let fields = [(name, value), ("form_token", token.as_str())];
                lan.post(path, &fields).await.status
            }
        });
        let mut running: FuturesUnordered<_> = waiting.by_ref().take(64).collect();
        let mut made = 0;
        while let Some(status) = running.next().await {
            // 429: the account's other requests take their turns first.
            assert!([201, 409, 429].contains(&status), "{status}");
            made += usize::from(status == 201);
            running.extend(waiting.next());
        }
        assert_eq!(made, most, "{path}");
    }
    let keys = gateway.nexo(&["key", "list", "--account", "a@example.com"]);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 10);
    let hooks = gateway.nexo(&["webhook", "list", "--account", "a@example.com"]);
    assert_eq!(hooks["webhooks"].as_array().unwrap().len(), 5);
}

#[per_database]
async fn an_allowlist_reports_its_invalid_line_warns_and_is_enforced(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let key = lan.new_key("server").await;
    assert_eq!(get_balance(&gateway, &key, "198.51.100.7").await.status, 200);
    let id = lan.id_after(PAGE, "/dashboard/api-keys/").await;
    let path = format!("{PAGE}/{id}/allowlist");
    lan.get(&path).await.must_contain("Your address is 127.0.0.1.");
    let bad = lan.submit(&path, &path, &[("allowlist", "10.0.0.0/8\r\nexample.com")]).await;
    assert_eq!(bad.status, 400);
    bad.must_contain("Line 2: “example.com”");
    let list = "203.0.113.0/24\r\n2001:db8::1";
    let warned = lan.submit(&path, &path, &[("allowlist", list)]).await;
    assert_eq!(warned.status, 400);
    warned.must_contain("Your own address 127.0.0.1 is not on this list");
    let fields = [("allowlist", list), ("knows", "yes")];
    let saved = lan.submit(&path, &path, &fields).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(1);
    loop {
        let refused = get_balance(&gateway, &key, "198.51.100.7").await;
        if refused.status == 403 {
            assert_eq!(refused.json["detected_ip"], json!("198.51.100.7"));
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the allowlist is not enforced after a second"
        );
    }
    assert_eq!(get_balance(&gateway, &key, "203.0.113.9").await.status, 200);
    assert_eq!(get_balance(&gateway, &key, "2001:db8::1").await.status, 200);
    lan.get(&path).await.must_contain("203.0.113.0/24\n2001:db8::1");
}
