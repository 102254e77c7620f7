//! Tests of `nexo webhook`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use nexo_domain::ids::AccountId;
use nexo_domain::webhook::HashedSecret;
use serde_json::{Value, json};

use harness::{Backend, per_database};

use super::nexo::Nexo;
use super::outbox::finished_otp;

const UNKNOWN: &str = "8f2e1c4d-0000-4000-8000-000000000001";

fn add<'a>(email: &'a str, url: &'a str) -> [&'a str; 6] {
    ["webhook", "add", "--account", email, "--url", url]
}

/// Runs a command with webhooks to private addresses and by plain HTTP allowed. Returns its exit code, its JSON
/// output and standard error.
fn run_with_open_targets(nexo: &Nexo, arguments: &[&str]) -> (i32, Value, String) {
    let output = nexo
        .command(&[arguments, &["--json"]].concat())
        .env("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true")
        .env("NEXO_WEBHOOKS__ALLOW_HTTP", "true")
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    (
        output.status.code().unwrap(),
        serde_json::from_str(&stdout).unwrap_or_default(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[per_database]
fn an_endpoint_is_added_and_listed_and_its_secret_shown_once(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    let added = nexo.json(&add("a@example.com", "https://1.1.1.1/hooks"));
    assert_eq!(added.as_object().unwrap().len(), 2);
    let secret = added["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 32, "{secret}");

    let listed = nexo.json(&["webhook", "list"]);
    let endpoint = &listed["webhooks"][0];
    assert_eq!(endpoint["id"], added["id"]);
    assert_eq!(endpoint["account"], "a@example.com");
    assert_eq!(endpoint["url"], "https://1.1.1.1/hooks");
    assert_eq!(endpoint["events"], json!(["otp.*"]));
    assert!(!listed.to_string().contains("whsec_"));
    let text = nexo.succeed(&["webhook", "list", "--account", "a@example.com"]);
    assert!(text.contains("https://1.1.1.1/hooks"), "{text}");
    let stdout = nexo.succeed(&add("a@example.com", "https://1.1.1.1/more"));
    assert!(stdout.contains("whsec_") && stdout.contains("shown only once"), "{stdout}");
}

#[per_database]
fn an_endpoint_receives_the_events_that_its_command_names(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    let add = add("a@example.com", "https://1.1.1.1/hooks");
    let choose = |events| [&add[..], &["--events", events]].concat();
    nexo.succeed(&choose("verification.approved, otp.*,otp.*"));
    let listed = nexo.json(&["webhook", "list"]);
    let events = json!(["otp.*", "verification.approved"]);
    assert_eq!(listed["webhooks"][0]["events"], events);
    let text = nexo.succeed(&["webhook", "list"]);
    assert!(text.contains("EVENTS") && text.contains("otp.*,verification.approved"), "{text}");
    for refused in ["otp", "*", "wallet.low", "webhook.test", "verification.approved,otp.sent", ""]
    {
        let error = nexo.fail(2, &choose(refused));
        let all = "otp.*, otp.delivered, otp.failed, verification.*, verification.approved, \
                   verification.failed, verification.expired";
        assert!(error.contains("--events") && error.contains(all), "{error}");
    }
    assert_eq!(nexo.json(&["webhook", "list"])["webhooks"].as_array().unwrap().len(), 1);
}

#[per_database]
fn a_sixth_endpoint_is_refused(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    for _ in 0..5 {
        nexo.succeed(&add("a@example.com", "https://1.1.1.1/hooks"));
    }
    assert_eq!(
        nexo.fail(1, &add("a@example.com", "https://1.1.1.1/hooks")),
        "error: an account has at most 5 active webhook endpoints: pause or remove one first"
    );
}

#[per_database]
fn only_https_urls_on_public_addresses_are_accepted(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    for (url, message) in [
        ("http://1.1.1.1/", "the URL must be https (webhooks.allow_http"),
        ("hooks", "the URL is not absolute"),
        ("https://127.0.0.1/", "not on a public address (webhooks.allow_private"),
        ("https://[::ffff:10.0.0.1]/", "not on a public address"),
        ("https://169.254.169.254/", "not on a public address"),
        ("https://localhost/", "not on a public address"),
        ("https://user:pw@1.1.1.1/", "carries a user name or password"),
    ] {
        let error = nexo.fail(1, &add("a@example.com", url));
        assert!(error.starts_with(&format!("error: {url} is not")), "{error}");
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(nexo.json(&["webhook", "list"]), json!({ "webhooks": [] }));
}

/// A received POST: its header lines in lower case, and its body.
type Received = JoinHandle<(Vec<String>, String)>;

/// Starts a receiver that answers one POST. Returns its URL.
fn receiver(status: &'static str) -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    (url, take_one(listener, status))
}

fn take_one(listener: TcpListener, status: &'static str) -> Received {
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_lowercase()),
            }
        }
        let length = header(&head, "content-length").parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.write_all(answer.as_bytes()).unwrap();
        (head, String::from_utf8(body).unwrap())
    })
}

fn header<'h>(head: &'h [String], name: &str) -> &'h str {
    let start = format!("{name}: ");
    let found = head.iter().find_map(|line| line.strip_prefix(&start));
    found.unwrap_or_else(|| panic!("{name} in {head:?}"))
}

#[per_database]
fn a_replay_sends_the_same_signed_bytes_without_a_gateway(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    let account = AccountId(nexo.account("a@example.com").parse().unwrap());
    let (url, received) = receiver("204 No Content");
    let (code, added, _) = run_with_open_targets(nexo, &add("a@example.com", &url));
    assert_eq!(code, 0);
    let first = nexo.with_store(async |store| finished_otp(store, account).await);

    let replay = ["webhook", "replay", &first.id.to_string()];
    let (code, answer, stderr) = run_with_open_targets(nexo, &replay);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(answer["status_code"], 204);
    let attempt = answer["attempt_id"].as_str().unwrap();
    assert_ne!(attempt, first.id.to_string());
    let (head, body) = received.join().unwrap();
    assert_eq!(body, first.body);
    assert_eq!(header(&head, "x-nexo-attempt-id"), attempt);
    let secret = HashedSecret::of(added["secret"].as_str().unwrap());
    let signature = header(&head, "x-nexo-signature");
    assert!(secret.verify(body.as_bytes(), signature), "{signature}");

    nexo.with_store(async |store| {
        let id = attempt.parse().unwrap();
        let stored = store.webhooks().attempt(id).await.unwrap().unwrap();
        assert_eq!(stored.status, "delivered");
        assert_eq!(stored.replay_of, Some(first.id));
        let original = store.webhooks().attempt(first.id).await.unwrap().unwrap();
        assert_eq!(original.status, "pending", "only the gateway sends it");
    });
}

#[per_database]
fn a_replay_that_the_receiver_rejects_is_a_failure(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    let account = AccountId(nexo.account("a@example.com").parse().unwrap());
    let (url, received) = receiver("500 Internal Server Error");
    run_with_open_targets(nexo, &add("a@example.com", &url));
    let first = nexo.with_store(async |store| finished_otp(store, account).await);
    let replay = ["webhook", "replay", &first.id.to_string()];
    let (code, answer, stderr) = run_with_open_targets(nexo, &replay);
    received.join().unwrap();
    assert_eq!((code, &answer["status_code"]), (1, &json!(500)));
    assert_eq!(stderr, "error: the receiver did not accept it: answered 500\n");

    // The receiver has stopped: the connection is refused.
    let (code, answer, stderr) = run_with_open_targets(nexo, &replay);
    assert_eq!((code, &answer["status_code"]), (1, &Value::Null));
    assert!(stderr.contains("could not connect"), "{stderr}");
    // Nothing is sent if private addresses and plain HTTP are not allowed.
    let error = nexo.fail(1, &replay);
    assert!(error.contains("the URL must be https"), "{error}");
}

#[per_database]
fn an_unknown_attempt_is_not_replayed(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    assert_eq!(
        nexo.fail(1, &["webhook", "replay", UNKNOWN]),
        format!("error: no webhook attempt {UNKNOWN}; use the id of its X-NEXO-Attempt-Id header")
    );
}

#[per_database]
fn a_replay_beside_a_running_gateway_is_sent_once(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    let account = AccountId(nexo.account("a@example.com").parse().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    run_with_open_targets(nexo, &add("a@example.com", &url));
    let received = take_one(listener.try_clone().unwrap(), "200 OK");
    let gateway = nexo.start_gateway();
    let first = nexo.with_store(async |store| finished_otp(store, account).await);
    let (head, _) = received.join().unwrap();
    assert_eq!(header(&head, "x-nexo-attempt-id"), first.id.to_string());

    let received = take_one(listener.try_clone().unwrap(), "200 OK");
    let replay = ["webhook", "replay", &first.id.to_string()];
    let (code, answer, stderr) = run_with_open_targets(nexo, &replay);
    assert_eq!((code, stderr.as_str()), (0, ""), "{answer}");
    let (head, body) = received.join().unwrap();
    assert_eq!(header(&head, "x-nexo-attempt-id"), answer["attempt_id"]);
    assert_eq!(body, first.body);
    assert!(gateway.terminate().success());
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "it was sent twice");
    nexo.with_store(async |store| {
        let id = answer["attempt_id"].as_str().unwrap().parse().unwrap();
        let stored = store.webhooks().attempt(id).await.unwrap().unwrap();
        assert_eq!((stored.status.as_str(), stored.status_code), ("delivered", Some(200)));
    });
}
