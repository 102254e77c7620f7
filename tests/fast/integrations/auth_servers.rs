//! The auth servers' own client code, where a registry has it, against the running gateway. `tests/run` installs it.

use std::path::PathBuf;

use harness::recogniser::python;
use harness::{Backend, Customer, Gateway, answer, per_database, phone, repository};
use tempfile::TempDir;

use super::kinds::heard;
use super::*;

const EMAIL: &str = "a@example.com";
const CODE: &str = "482917";

/// A gateway that records its calls, and the directory of the recordings.
fn recording(backend: Backend) -> (Gateway, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let recordings = dir.path().to_str().unwrap();
    (Gateway::start(backend, &[QUICK, ("NEXO_SANDBOX__RECORD_DIR", recordings)]), dir)
}

/// The folder with npm packages that `tests/run` has prepared; `None` outside of it, and then the test is skipped.
fn node_clients() -> Option<PathBuf> {
    let found = std::env::var_os("NEXO_TEST_NODE_CLIENTS").map(PathBuf::from);
    if found.is_none() {
        println!("skipped: tests/run installs the auth servers' packages");
    }
    found
}

async fn run(program: &str, args: &[&str], env: &[(&str, &str)]) -> String {
    let mut command = tokio::process::Command::new(program);
    command.args(args).envs(env.iter().copied()).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a script of the prepared folder and parses the last line that it prints.
async fn node(script: &str, args: &[&str], env: &[(&str, &str)]) -> Option<Value> {
    let script = node_clients()?.join(script);
    let printed = run("node", &[&[script.to_str().unwrap()], args].concat(), env).await;
    Some(serde_json::from_str(printed.lines().last().unwrap()).unwrap())
}

/// Exactly one call to this phone, debited once, in which the code was heard.
async fn assert_one_call(customer: &Customer, recordings: &TempDir, phone: &str, code: &str) {
    let path = format!("deliveries?phone=%2B{}", &phone[1..]);
    let listed = customer.get(&path).await;
    let deliveries = listed.json["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.len(), 1, "{}", listed.text);
    let ended = customer.terminal(deliveries[0]["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
    assert_eq!(heard(recordings.path(), phone).await, code);
    let ledger = customer.get("ledger?kind=debit").await;
    assert_eq!(ledger.json["entries"].as_array().unwrap().len(), 1, "{}", ledger.text);
}

#[per_database]
async fn the_connector_of_logto_sends_a_code_and_understands_a_refusal(backend: Backend) {
    let (gateway, recordings) = recording(backend);
    let customer = gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "logto");
    let authorization = format!("Bearer {}", server.secret);
    let to = phone(67);
    let send = async |to: &str, code: &str, authorization: &str| {
        node("logto.mjs", &[&server.url, authorization, to, code], &[]).await
    };
    // The connector sends digits only.
    let Some(sent) = send(&to[1..], CODE, &authorization).await else {
        return;
    };
    assert_eq!(sent, json!({ "sent": true }));
    assert_eq!(send(&to[1..], CODE, &authorization).await.unwrap(), json!({ "sent": true }));
    let refused = send(&to[1..], "999999", &authorization).await.unwrap();
    assert_eq!(refused["sent"], false);
    assert!(refused["data"].as_str().unwrap().contains("rate_limited"), "{refused}");
    let unproven = send(&to[1..], CODE, "Bearer hook_wrong").await.unwrap();
    assert!(unproven["data"].as_str().unwrap().contains("invalid_key"), "{unproven}");
    assert_one_call(&customer, &recordings, &to, CODE).await;
    gateway.audit();
}

#[per_database]
async fn better_auth_signs_a_person_in_with_the_code_that_was_heard(backend: Backend) {
    let (gateway, recordings) = recording(backend);
    let customer = gateway.customer(EMAIL, "1.00");
    let args = ["integration", "create", "--account", EMAIL, "--kind", "custom", "--name", "n"];
    let created = gateway
        .nexo(&[&args[..], &["--phone-pointer", "/phone", "--code-pointer", "/code"]].concat());
    let path = format!("/api/v1/hooks/custom/{}", created["id"].as_str().unwrap());
    let url = format!("{}{path}", gateway.url);
    let secret = created["secret"].as_str().unwrap();
    let to = phone(67);
    let file = repository("docs/integrations/better-auth.mjs").canonicalize().unwrap();
    let env = [("NEXO_URL", url.as_str()), ("NEXO_SECRET", secret)];
    let args = [file.to_str().unwrap(), &to];
    let Some(signed_in) = node("better-auth.mjs", &args, &env).await else {
        return;
    };
    assert_eq!((&signed_in["verified"], &signed_in["phone"]), (&json!(true), &json!(to)));
    let code = signed_in["code"].as_str().unwrap();
    assert_one_call(&customer, &recordings, &to, code).await;
    gateway.audit();
}

#[per_database]
async fn the_packages_of_the_standard_webhooks_sign_what_is_accepted(backend: Backend) {
    let (gateway, recordings) = recording(backend);
    let customer = gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "supabase");
    let to = phone(67);
    let body = server.body(&to, CODE).to_string();
    let seconds = unix_seconds().to_string();
    let args = [server.secret.as_str(), "msg_1", &seconds, &body];
    let Some(npm) = node("standard-webhooks.mjs", &args, &[]).await else {
        return;
    };
    let script = node_clients().unwrap().join("standard_webhooks.py");
    let pypi = run(&python(), &[&[script.to_str().unwrap()], &args[..]].concat(), &[]).await;
    let pypi: Value = serde_json::from_str(pypi.trim()).unwrap();
    assert_eq!(npm, pypi);
    let (other, ours) = ("v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=", npm.as_str().unwrap());
    for (n, signature) in [ours.to_owned(), format!("{other} {ours}")].iter().enumerate() {
        let sent = server
            .unproven(&body)
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", &seconds)
            .header("webhook-signature", signature);
        let sent = answer(sent).await;
        assert_accepted(&sent);
        assert_eq!(is_replay(&sent), n > 0);
    }
    assert_one_call(&customer, &recordings, &to, CODE).await;
    gateway.audit();
}

#[per_database]
async fn the_template_of_kratos_sends_every_kind_of_code(backend: Backend) {
    let Some(clients) = node_clients() else {
        return;
    };
    let (gateway, recordings) = recording(backend);
    let customer = gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "kratos");
    let template = repository("docs/integrations/kratos.jsonnet");
    let script = clients.join("kratos.py");
    let body = async |to: &str, kind: &str, data: Value| {
        let ctx = json!({
            "recipient": to, "subject": "", "body": format!("Your code is: {CODE}"),
            "template_type": format!("{kind}_valid"), "template_data": data, "message_type": "sms",
        });
        let args = [script.to_str().unwrap(), template.to_str().unwrap(), &ctx.to_string()];
        run(&python(), &args, &[]).await
    };
    for name in ["login_code", "registration_code", "verification_code", "recovery_code"] {
        let data =
            json!({ "to": "+84", name: CODE, "identity": { "id": "1" }, "expires_in_minutes": 15 });
        let read: Value = serde_json::from_str(&body("+84981234567", name, data).await).unwrap();
        assert_eq!(read, json!({ "to": "+84981234567", "code": CODE }), "{name}");
    }
    let to = phone(67);
    let login = body(&to, "login_code", json!({ "login_code": CODE })).await;
    assert_rang(&answer(server.request(&login)).await);
    assert_replay(&answer(server.request(&login)).await);
    let without = body(&to, "login_code", json!({})).await;
    let refused = answer(server.request(&without)).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_code"));
    assert_one_call(&customer, &recordings, &to, CODE).await;
    gateway.audit();
}

#[per_database]
async fn the_action_of_auth0_retries_what_may_succeed_later_and_drops_the_rest(backend: Backend) {
    let (gateway, recordings) = recording(backend);
    let customer = gateway.customer(EMAIL, "1.00");
    let server = AuthServer::create(&gateway, EMAIL, "auth0");
    let file = repository("docs/integrations/auth0-action.js");
    let told = async |url: &str, to: &str, code: &str| {
        let event = json!({
            "notification": {
                "recipient": to, "code": code, "locale": "en_US", "delivery_method": "voice",
                "message_type": "otp_verify", "as_text": format!("{code} is your code"),
            },
            "secrets": { "NEXO_URL": url, "NEXO_SECRET": server.secret },
        });
        node("auth0-action.mjs", &[file.to_str().unwrap(), &event.to_string()], &[]).await
    };
    let to = phone(67);
    let Some(sent) = told(&server.url, &to, CODE).await else {
        return;
    };
    assert_eq!(sent, json!([]));
    assert_eq!(told(&server.url, &to, CODE).await.unwrap(), json!([]));
    let limited = told(&server.url, &to, "999999").await.unwrap();
    assert!(limited[0]["drop"].as_str().unwrap().contains("429 rate_limited"), "{limited}");
    let letters = told(&server.url, &phone(90), "ABC123").await.unwrap();
    assert!(letters[0]["drop"].as_str().unwrap().contains("400 invalid_code"), "{letters}");
    let busy = told(&server.url, &phone(95).replacen("+8498", "+8490", 1), CODE).await.unwrap();
    assert!(busy[0]["retry"].as_str().unwrap().contains("502 no_route"), "{busy}");
    let down = told("http://127.0.0.1:1/", &to, CODE).await.unwrap();
    assert!(down[0]["retry"].is_string(), "{down}");
    let path = format!("deliveries?phone=%2B{}", &to[1..]);
    let listed = customer.get(&path).await;
    let id = listed.json["deliveries"][0]["id"].as_str().unwrap();
    assert_eq!(customer.terminal(id).await.json["status"], "delivered");
    assert_eq!(heard(recordings.path(), &to).await, CODE);
    gateway.audit();
}
