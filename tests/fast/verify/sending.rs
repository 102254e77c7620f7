//! What is heard, resends, and idempotent starts.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use harness::{Backend, answer, client, per_database, phone, until};
use serde_json::{Value, json};

use super::{cancel, check, code, count, execute, gateway, get, post, resend, start, started};

/// The digits that the sandbox heard, by phone.
fn heard(dir: &Path) -> HashMap<String, Vec<String>> {
    let mut heard: HashMap<String, Vec<String>> = HashMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Ok(call) = serde_json::from_slice::<Value>(&std::fs::read(path).unwrap())
        {
            let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
            heard.entry(text("phone")).or_default().push(text("digits_heard"));
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_that_is_heard_is_the_one_that_approves() {
    let settings = [("NEXO_SANDBOX__RECORD_DIR", "recordings")];
    let gateway = gateway(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "1.00");
    let mut ids = Vec::new();
    for (length, language) in [(4, "vi"), (6, "en"), (8, "vi")] {
        let number = phone(1);
        let body = json!({ "phone": number, "length": length, "language": language });
        let started = start(&customer, &body).await;
        assert_eq!(started.status, 202, "{}", started.text);
        ids.push((number, started.json["id"].as_str().unwrap().to_owned(), length));
    }
    let recordings = gateway.dir.path().join("recordings");
    for (number, id, length) in ids {
        let number = number.trim_start_matches('+');
        let digits = until("a recording", Duration::from_secs(40), async || {
            let heard = heard(&recordings);
            let call = heard.iter().find(|(phone, _)| phone.ends_with(&number[2..]));
            call.map(|(_, digits)| digits[0].clone())
        })
        .await;
        assert_eq!(digits, code(&id, length), "{id}");
        let checked = check(&customer, &id, &digits).await;
        assert_eq!(checked.json["valid"], true, "{}", checked.text);
    }
    gateway.audit();
}

#[per_database]
async fn a_resend_reads_the_same_code_while_the_window_and_the_limit_allow_it(backend: Backend) {
    let gateway = gateway(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let id = started(&customer, &phone(90)).await;
    let limited = started(&customer, &phone(90)).await;
    execute(
        &gateway,
        &format!("UPDATE verifications SET sends = 5 WHERE id <> {}", literal(backend, &id)),
    )
    .await;
    let refused = resend(&customer, &limited).await;
    assert_eq!((refused.status, refused.error()), (409, "too_many_sends"), "{}", refused.text);
    execute(&gateway, "UPDATE verifications SET sends = 1").await;
    let held = resend(&customer, &id).await;
    assert_eq!((held.status, held.error()), (429, "rate_limited"), "{}", held.text);
    assert_eq!(get(&customer, &id).await.json["sends"].as_array().unwrap().len(), 1);
    check(&customer, &id, &super::wrong_code(&id, 6)).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    // Of twenty at once the window lets one through.
    let key = ("Idempotency-Key", "again");
    let path = format!("verifications/{id}/resend");
    let resends = (0..20).map(|_| answer(post(&customer, &path, "").header(key.0, key.1)));
    let answers = join_all(resends).await;
    let first = &answers[0];
    assert_eq!(first.status, 202, "{}", first.text);
    assert!(answers.iter().all(|answer| (answer.status, &answer.text) == (202, &first.text)));
    let replays = answers.iter().filter(|answer| answer.header("Idempotent-Replayed").is_some());
    assert_eq!(replays.count(), 19);
    assert_eq!((&first.json["id"], &first.json["attempts_left"]), (&json!(id), &json!(4)));
    let others = join_all((0..20).map(|_| resend(&customer, &id))).await;
    assert!(others.iter().all(|answer| answer.error() == "rate_limited"));
    let after = get(&customer, &id).await;
    let sends = after.json["sends"].as_array().unwrap();
    assert_eq!(sends.len(), 2);
    assert_eq!(sends[1]["delivery_id"], first.json["delivery_id"]);
    assert_eq!(check(&customer, &id, &code(&id, 6)).await.json["valid"], true);
    assert_eq!(customer.balance().await.0, "0.934");
    gateway.audit();
}

fn literal(backend: Backend, id: &str) -> String {
    match backend {
        Backend::Sqlite => format!("X'{}'", id.replace('-', "")),
        Backend::Postgres => format!("'{id}'"),
    }
}

#[per_database]
async fn a_repeated_start_gets_the_first_answer_and_rings_once(backend: Backend) {
    let gateway = gateway(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let body = json!({ "phone": phone(90) }).to_string();
    let send = |key: &'static str, path: &'static str, body: String| {
        answer(post(&customer, path, &body).header("Idempotency-Key", key))
    };
    let answers = join_all((0..20).map(|_| send("k", "verifications", body.clone()))).await;
    let first = &answers[0];
    assert_eq!(first.status, 202, "{}", first.text);
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (202, &first.text));
    }
    let id = first.json["id"].as_str().unwrap();
    assert_eq!(count(&gateway, "SELECT COUNT(*) FROM verifications").await, 1);
    assert_eq!(customer.balance().await.0, "0.978");
    // The stored answer stays the same, whatever has become of the verification.
    cancel(&customer, id).await;
    let replayed = send("k", "verifications", body.clone()).await;
    assert_eq!((replayed.status, &replayed.text), (202, &first.text));
    assert_eq!(replayed.header("Idempotent-Replayed"), Some("true"));
    // The same key and body on another route is another request.
    let conflict = send("k", "send-otp", body.clone()).await;
    assert_eq!((conflict.status, conflict.error()), (409, "idempotency_conflict"));
    let other = json!({ "phone": phone(90), "length": 4 }).to_string();
    let conflict = send("k", "verifications", other).await;
    assert_eq!((conflict.status, conflict.error()), (409, "idempotency_conflict"));
    // A refusal is stored, and a 502 frees the key.
    let wrong = json!({ "phone": "+84123" }).to_string();
    let refused = send("w", "verifications", wrong.clone()).await;
    assert_eq!(send("w", "verifications", wrong).await.text, refused.text);
    let unroutable = json!({ "phone": phone(95) }).to_string();
    for _ in 0..2 {
        let refused = send("r", "verifications", unroutable.clone()).await;
        assert_eq!((refused.status, refused.error()), (502, "no_route"), "{}", refused.text);
        assert_eq!(refused.header("Idempotent-Replayed"), None);
    }
    assert_eq!(count(&gateway, "SELECT COUNT(*) FROM verifications").await, 1);
    gateway.audit();
}

#[per_database]
async fn a_crash_during_the_call_leaves_the_verification_pending(backend: Backend) {
    let mut gateway = gateway(backend, &[("NEXO_CALLS__RING_TIMEOUT_SECONDS", "40")]);
    let customer = gateway.customer("a@example.com", "1.00");
    // It rings, unanswered.
    let id = started(&customer, &phone(91)).await;
    gateway.kill_and_restart();
    let customer =
        harness::Customer { api: format!("{}/api/v1", gateway.url), http: client(), ..customer };
    let after = get(&customer, &id).await;
    assert_eq!(after.json["status"], "pending", "{}", after.text);
    assert_eq!(after.json["sends"].as_array().unwrap().len(), 1);
    let delivery = after.json["sends"][0]["delivery_id"].as_str().unwrap();
    let ended = customer.terminal(delivery).await;
    assert_eq!(ended.json["error_code"], "interrupted");
    assert_eq!(customer.balance().await.0, "1.000");
    assert_eq!(check(&customer, &id, &code(&id, 6)).await.json["valid"], true);
    gateway.audit();
}
