//! Each kind: its proof, its body, and the form of its answers.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::{Backend, Gateway, answer, per_database, phone, until};
use serde_json::json;

use super::*;

const EMAIL: &str = "a@example.com";

#[per_database]
async fn every_kind_makes_the_phone_ring_in_its_own_form(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let recordings = dir.path().to_str().unwrap();
    let gateway = Gateway::start(backend, &[QUICK, ("NEXO_SANDBOX__RECORD_DIR", recordings)]);
    let customer = gateway.customer(EMAIL, "10.00");
    let mut called = Vec::new();
    for (n, kind) in KINDS.iter().enumerate() {
        let server = AuthServer::create(&gateway, EMAIL, kind);
        let (phone, code) = (phone(10 + n as u32), format!("48{n}91{n}"));
        assert_rang(&server.send(&phone, &code).await);
        called.push((phone, code));
    }
    let deliveries = customer.get("deliveries").await;
    assert_eq!(deliveries.json["deliveries"].as_array().unwrap().len(), KINDS.len());
    for delivery in deliveries.json["deliveries"].as_array().unwrap() {
        let ended = customer.terminal(delivery["id"].as_str().unwrap()).await;
        assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
    }
    for (phone, code) in &called {
        assert_eq!(&heard(dir.path(), phone).await, code);
    }
    assert_eq!(customer.balance().await.0, "9.824");
    assert_eq!(gateway.metric("nexo_hook_requests_total").await, KINDS.len() as f64);
    gateway.audit();
}

/// What the sandbox's recogniser heard at this phone, which was called once.
pub async fn heard(recordings: &std::path::Path, phone: &str) -> String {
    // The report of a call is written a moment after its end.
    until("the call's report", Duration::from_secs(10), async || report(recordings, phone)).await
}

fn report(recordings: &std::path::Path, phone: &str) -> Option<String> {
    let reports = std::fs::read_dir(recordings).unwrap().filter_map(|file| {
        let path = file.unwrap().path();
        let text =
            (path.extension()? == "json").then(|| std::fs::read_to_string(&path).unwrap())?;
        serde_json::from_str::<Value>(&text).ok()
    });
    let digits = phone.trim_start_matches('+');
    let mut of_phone = reports.filter(|report| report["phone"].as_str().unwrap().ends_with(digits));
    let report = of_phone.next()?;
    assert!(of_phone.next().is_none(), "{phone} was called twice");
    Some(report["digits_heard"].as_str().unwrap().to_owned())
}

#[per_database]
async fn a_caller_that_is_not_proven_gets_401_whatever_the_kind(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer(EMAIL, "1.00");
    let servers: Vec<AuthServer> =
        KINDS.iter().map(|kind| AuthServer::create(&gateway, EMAIL, kind)).collect();
    for (n, server) in servers.iter().enumerate() {
        let body = server.body(&phone(67), "482917").to_string();
        let error = if server.signs() { "invalid_signature" } else { "invalid_key" };
        // Its own kind of another integration: the secret of one does not prove the other.
        let other = AuthServer::create(&gateway, EMAIL, &server.kind);
        let foreign = AuthServer { secret: other.secret, ..server.clone() };
        let neighbour = &servers[(n + 1) % servers.len()];
        let mut requests = vec![
            server.unproven(&body),
            server.unproven("{"),
            server.unproven(&body).bearer_auth("sk_live_x"),
            server.unproven(&body).bearer_auth(&customer.key),
            server.unproven(&body).basic_auth("nexo", Some("wrong")),
            foreign.request(&body),
            AuthServer { url: server.url.clone(), ..neighbour.clone() }.request(&body),
        ];
        if server.signs() {
            requests.push(server.unproven(&body).bearer_auth(&server.secret));
            requests.push(server.request_at(&body, unix_seconds() - 301));
            requests.push(server.request_at(&body, unix_seconds() + 310));
            requests.push(server.request("{}").body(body.clone()));
        }
        for request in requests {
            let refused = answer(request).await;
            assert_eq!(
                (refused.status, refused.error()),
                (401, error),
                "{}: {refused:?}",
                server.kind
            );
            assert_eq!(refused.header("retry-after"), None);
        }
        // The same bytes with the right proof are read.
        assert_eq!(server.refusal(&answer(server.request("{}")).await).0, 400);
    }
    assert_eq!(customer.balance().await.0, "1.000");
    let deliveries = customer.get("deliveries").await;
    assert_eq!(deliveries.json["deliveries"], json!([]));
}

#[per_database]
async fn basic_is_for_kratos_and_authentik_and_signatures_may_be_several(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    gateway.customer(EMAIL, "1.00");
    for kind in ["kratos", "authentik", "logto", "keycloak", "auth0", "custom"] {
        let server = AuthServer::create(&gateway, EMAIL, kind);
        let body = server.body(&phone(90), "482917").to_string();
        let basic = answer(server.unproven(&body).basic_auth("any", Some(&server.secret))).await;
        let takes_basic = matches!(kind, "kratos" | "authentik");
        assert_eq!(basic.status, if takes_basic { 200 } else { 401 }, "{kind}: {basic:?}");
    }
    let server = AuthServer::create(&gateway, EMAIL, "supabase");
    for separator in [" ", ",", ", "] {
        let body = server.body(&phone(90), "482917").to_string();
        let signed = server.request(&body).build().unwrap();
        let signature = signed.headers()["webhook-signature"].to_str().unwrap();
        let other = format!("v1,{}", STANDARD.encode([7; 32]));
        let request = server
            .unproven(&body)
            .header("webhook-id", &signed.headers()["webhook-id"])
            .header("webhook-timestamp", &signed.headers()["webhook-timestamp"])
            .header("webhook-signature", format!("{other}{separator}{signature}"));
        assert_rang(&answer(request).await);
    }
}

#[per_database]
async fn refusals_have_the_form_of_the_kind(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer(EMAIL, "1.00");
    gateway.customer("poor@example.com", "0");
    for kind in KINDS {
        let server = AuthServer::create(&gateway, EMAIL, kind);
        let poor = AuthServer::create(&gateway, "poor@example.com", kind);
        let to = phone(90);
        assert_eq!(customer.send(&to, "1234").await.status, 202);
        let busy = phone(95).replacen("+8498", "+8490", 1);
        let in_words = |phone: &str, code: &str| server.body(phone, code).to_string();
        for (request, status, error, message) in [
            (server.request("no JSON"), 400, "invalid_request", "JSON object"),
            (server.request("[]"), 400, "invalid_request", "JSON object"),
            (server.request(r#"{"a":1,"a":2}"#), 400, "invalid_request", "names no field twice"),
            (server.request("{}"), 400, "invalid_phone", "no phone number"),
            (
                server.request(&in_words("+14155552671", "482917")),
                400,
                "invalid_phone",
                "starts with +84",
            ),
            (
                server.request(&in_words("+84241234567", "482917")),
                400,
                "invalid_phone",
                "mobile range",
            ),
            (server.request(&in_words(&phone(67), "ABCDEF")), 400, "invalid_code", "digits"),
            (server.request(&in_words(&phone(67), "1")), 400, "invalid_code", "digits"),
            (
                server.request(&in_words(&to, "482917")),
                429,
                "rate_limited",
                "called less than 30 seconds",
            ),
            (server.request(&in_words(&busy, "482917")), 502, "no_route", "refunded"),
            (poor.request(&in_words(&phone(67), "482917")), 402, "insufficient_balance", "top up"),
        ] {
            let refused = answer(request).await;
            let (code, text) = server.refusal(&refused);
            assert_eq!(code, status, "{kind}: {refused:?}");
            if kind == "supabase" {
                assert!(text.contains(message), "{text}");
            } else {
                assert_eq!(text, error, "{kind}: {refused:?}");
                let told = refused.json["message"].as_str().unwrap();
                assert!(told.contains(message), "{told}");
            }
        }
        let large = answer(server.request(&" ".repeat(17_000))).await;
        assert_eq!((large.status, large.header("retry-after")), (413, None), "{large:?}");
        let wrong_method = server.http.get(&server.url).bearer_auth(&server.secret);
        assert_eq!(answer(wrong_method).await.status, 405);
    }
    assert_eq!(customer.get("ledger").await.status, 200);
    gateway.audit();
}

#[per_database]
async fn phones_are_taken_in_every_form_and_the_language_of_the_person_is_spoken(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "auth0");
    for (n, start) in ["+84", "84", "0084", "0"].iter().enumerate() {
        let phone = phone(90);
        let national = &phone[3..];
        let written = format!(
            "{start} ({}) {}.{}\u{a0}{}",
            &national[..2],
            &national[2..5],
            &national[5..7],
            &national[7..]
        );
        let body = json!({ "recipient": written, "code": format!("482{n}") }).to_string();
        assert_rang(&answer(server.request(&body)).await);
        // The same phone in another form is the same phone.
        let body = json!({ "recipient": phone, "code": format!("482{n}") }).to_string();
        assert_replay(&answer(server.request(&body)).await);
        let delivered = customer.get(&format!("deliveries?phone=%2B{}", &phone[1..])).await;
        assert_eq!(delivered.json["deliveries"].as_array().unwrap().len(), 1, "{}", delivered.text);
    }
}
