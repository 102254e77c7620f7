//! Codes are never logged or stored. The test sends hundreds of random codes through a gateway with debug logs,
//! webhooks and panicking actors. It then searches everything that the gateway has written and sent.

pub(crate) mod search;

use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Answer, Backend, Customer, Gateway, Hook, Receiver, answer, client, per_database};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use search::{Artifacts, leaks};
use serde_json::json;

/// The number of codes in a run of all tests.
const CODES: usize = 300;
/// The number of codes in the long form.
const LONG_FORM_CODES: usize = 10_000;
/// The number of concurrent customers.
const CUSTOMERS: usize = 16;
/// How often all actors panic. More than one panic per second would end the process.
const PANICS: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(75);

#[per_database]
async fn no_code_is_logged_or_stored(backend: Backend) {
    search_after(backend, CODES).await;
}

#[ignore = "the long form: tests/system/crash/run leaks"]
#[per_database]
async fn none_of_ten_thousand_codes_is_logged_or_stored(backend: Backend) {
    search_after(backend, LONG_FORM_CODES).await;
}

/// A phone and the code that is sent to it.
struct Order {
    phone: String,
    code: String,
}

/// Random orders. No code is part of a phone. Each code begins with a zero, which no other number in the output does.
/// Only that digit is zero: as bytes, several zeros after small numbers occur in every file of a database.
fn orders(count: usize, random: &mut StdRng) -> Vec<Order> {
    let phones = (0..count).map(|n| {
        // Most phones are busy, some hang up after a second, and some hear the whole code.
        let last_two = match n % 20 {
            0 => 11,
            1..4 => 98,
            _ => 90,
        };
        format!("+8498{n:05}{last_two}")
    });
    let phones: Vec<String> = phones.collect();
    let mut taken = HashSet::new();
    let mut code = || loop {
        let code = std::iter::repeat_with(|| random.random_range('1'..='9')).take(7);
        let code = format!("0{}", code.collect::<String>());
        let is_new = taken.insert(code.clone());
        if is_new && !phones.iter().any(|phone| phone.contains(&code)) {
            return code;
        }
    };
    let orders = phones.iter().map(|phone| Order { phone: phone.clone(), code: code() });
    orders.collect()
}

async fn search_after(backend: Backend, count: usize) {
    let seed = rand::rng().random();
    println!("{backend:?}: {count} codes, seed {seed}");
    let orders = orders(count, &mut StdRng::seed_from_u64(seed));
    let receiver = Receiver::start();
    let mut gateway = Gateway::start(
        backend,
        &[
            ("NEXO_CALLS__REPEAT", "1"),
            ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
            ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
            ("RUST_LOG", "debug"),
            ("RUST_BACKTRACE", "1"),
        ],
    );
    let customer = gateway.customer("a@example.com", "1000.00");
    gateway.add_webhook("a@example.com", &receiver.url());
    let mut artifacts = Artifacts::default();
    let began = Instant::now();
    let (accepted, output) = send(&orders, &gateway, &customer).await;
    artifacts.text("the HTTP responses", output);
    let hooks = all_hooks(&receiver, accepted).await;
    artifacts.text("metrics", page(&gateway.metrics).await);
    let trunks = gateway.metrics.replace("/metrics", "/trunks");
    artifacts.text("trunks", page(&trunks).await);
    for hook in &hooks {
        artifacts.text("a webhook", format!("{hook:?}"));
    }
    // Killed, so that SQLite's write-ahead log still exists.
    gateway.kill();
    artifacts.text("the log", gateway.log());
    let database = gateway.database_url();
    match backend {
        Backend::Sqlite => artifacts.files_beside(&database),
        Backend::Postgres => {
            let dump = Command::new("pg_dump").arg(&database).output().unwrap();
            assert!(dump.status.success(), "{dump:?}");
            artifacts.text("the dump", String::from_utf8(dump.stdout).unwrap());
        }
    }
    let codes: Vec<&str> = orders.iter().map(|order| order.code.as_str()).collect();
    println!(
        "{backend:?}: {accepted} accepted, {} webhooks, {} bytes searched after {:.0} s",
        hooks.len(),
        artifacts.size(),
        began.elapsed().as_secs_f32(),
    );
    // The run is only valid if the gateway accepted OTPs, logged the panics and stored the phones.
    assert!(accepted > count / 2, "{accepted} of {count} were accepted");
    assert!(artifacts.contains("provoked by a test"), "no panic was logged");
    assert!(artifacts.contains("+8498"), "no phone was found in the database");
    let found = leaks(&artifacts, &codes);
    assert!(found.is_empty(), "seed {seed}: {found:#?}");
}

/// Sends every code in valid and invalid requests. Returns the number of accepted OTPs and all responses.
async fn send(orders: &[Order], gateway: &Gateway, customer: &Customer) -> (usize, String) {
    let (mut accepted, mut output) = (0, String::new());
    let panics_every = (orders.len() / (PANICS + 1)).max(1);
    for (n, batch) in orders.chunks(CUSTOMERS).enumerate() {
        let sent = batch.iter().map(|order| send_one(order, customer));
        for (status, text) in futures_util::future::join_all(sent).await {
            accepted += usize::from(status == 202);
            output.push_str(&text);
            output.push('\n');
        }
        let done = n * CUSTOMERS;
        if done / panics_every != (done + CUSTOMERS) / panics_every {
            ["carriers", "wallets", "webhooks"]
                .into_iter()
                .for_each(|actors| gateway.panic(actors));
        }
    }
    (accepted, output)
}

/// Sends an OTP, and before it the same code in two requests that are refused. Returns the last status and all
/// responses.
async fn send_one(order: &Order, customer: &Customer) -> (u16, String) {
    let Order { phone, code } = order;
    let valid = json!({ "phone": phone, "code": code }).to_string();
    let invalid = [
        json!({ "phone": "+84123", "code": code }).to_string(),
        json!({ "phone": phone, "code": format!("{code}9") }).to_string(),
        json!({ "phone": code, "code": phone }).to_string(),
        format!("{{\"phone\":\"{phone}\",\"code\":\"{code}\""),
        format!("[\"{code}\"]"),
    ];
    let choice = usize::from(code.as_bytes()[7] - b'0') % invalid.len();
    let mut output = String::new();
    let mut status = 0;
    for (body, key) in [
        (invalid[choice].clone(), customer.key.as_str()),
        (valid.clone(), "sk_live_mistyped"),
        (valid, customer.key.as_str()),
    ] {
        let customer = Customer { key: key.to_owned(), ..customer.clone() };
        let answer = retry_overloaded(customer.otp_request(&body)).await;
        status = answer.status;
        output.push_str(&format!("{} {:?} {}\n", answer.status, answer.headers, answer.text));
    }
    (status, output)
}

/// Sends a request and repeats it while the gateway is overloaded.
async fn retry_overloaded(request: reqwest::RequestBuilder) -> Answer {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let again = request.try_clone().unwrap();
        let answer = answer(again).await;
        if answer.status != 503 || Instant::now() >= deadline {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn page(url: &str) -> String {
    answer(client().get(url)).await.text
}

/// Waits for the webhook of each accepted OTP. It is sent after the delivery has ended and is stored.
async fn all_hooks(receiver: &Receiver, accepted: usize) -> Vec<Hook> {
    let deadline = Instant::now() + TIMEOUT;
    let mut hooks = Vec::new();
    while hooks.len() < accepted {
        match receiver.try_next() {
            Some(hook) => hooks.push(hook),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        let received = hooks.len();
        assert!(Instant::now() < deadline, "{received} webhooks of {accepted}");
    }
    hooks
}
