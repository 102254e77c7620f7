//! Schemathesis against the running gateway: generated requests, valid and invalid, by the OpenAPI document, and every
//! check of the answers.

use std::process::Command;

use harness::recogniser::installed;
use harness::{Backend, Gateway, answer, client, phone};
use serde_json::json;

/// How long requests are generated, in seconds. The requests are the same in every run.
const SECONDS: &str = "45";

#[actix_web::test]
async fn schemathesis_finds_nothing() {
    let Some(program) = installed("schemathesis") else {
        return;
    };
    let settings = [("NEXO_DEPOSITS__NOTIFICATION_SECRET", "a-secret-of-the-bank-for-this-test")];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let email = "a@example.com";
    gateway.customer(email, "1.00");
    let key = ["key", "create", "--account", email, "--name", "generated", "--test"];
    let key = gateway.nexo(&key)["key"].as_str().unwrap().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let settings = known_values(&gateway, &key).await;
    std::fs::write(directory.path().join("schemathesis.toml"), settings).unwrap();
    // Loaded by its URL, the document's own operation would not be tested.
    let url = format!("{}/api/v1/openapi.json", gateway.url);
    let document = answer(client().get(url)).await;
    std::fs::write(directory.path().join("openapi.json"), &document.text).unwrap();
    let output = Command::new(program)
        .current_dir(directory.path())
        .args(["run", "openapi.json", "--url", &gateway.url])
        .args(["--header", &format!("Authorization: Bearer {key}")])
        .args([
            "--checks",
            "all",
            "--max-time",
            SECONDS,
            "--continue-on-failure",
            "--generation-deterministic",
        ])
        .args(["--request-timeout", "30", "--no-color"])
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    let paths = document.json["paths"].as_object().unwrap().values();
    let operations: usize = paths.map(|path| path.as_object().unwrap().len()).sum();
    assert!(report.contains(&format!("Tested: {operations}")), "{report}");
    assert_eq!(gateway.metric("nexo_internal_errors_total").await, 0.0);
    gateway.audit();
}

/// The sandbox answers some generated numbers with congestion: their 502 is documented.
const SEND_OTP: &str = "[[operations]]\ninclude-path = \"/api/v1/send-otp\"\n\
                        [operations.checks]\nnot_a_server_error.expected-statuses = [\"2xx\", \"3xx\", \"4xx\", 502]\n";

/// Schemathesis's settings: an id and a cursor of this account. Both are opaque, so it cannot generate valid ones.
async fn known_values(gateway: &Gateway, key: &str) -> String {
    let api = format!("{}/api/v1", gateway.url);
    for _ in 0..2 {
        let body = json!({ "phone": phone(67), "code": "482917" }).to_string();
        let request = client().post(format!("{api}/send-otp")).bearer_auth(key);
        assert_eq!(answer(request.body(body)).await.status, 202);
    }
    let list = client().get(format!("{api}/deliveries?limit=1"));
    let list = answer(list.bearer_auth(key)).await.json;
    let id = list["deliveries"][0]["id"].as_str().unwrap();
    let cursor = list["next_cursor"].as_str().unwrap();
    [
        ("/api/v1/deliveries/{id}", "path.id", id),
        ("/api/v1/deliveries", "query.cursor", cursor),
        ("/api/v1/ledger", "query.cursor", ""),
        ("/api/v1/verifications", "query.cursor", ""),
    ]
    .map(|(path, parameter, value)| {
        format!(
            "[[operations]]\ninclude-path = \"{path}\"\nparameters = {{ \"{parameter}\" = \"{value}\" }}\n"
        )
    })
    .concat()
        + SEND_OTP
}
