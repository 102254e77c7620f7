//! No code is ever written down: hundreds of random codes go through a gateway whose actors are made to
//! panic, with webhooks on and everything logged, and then all that it left behind is searched for them.

mod search;

use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Answer, Backend, Customer, Gateway, Hook, Receiver, answer, client, per_database};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use search::{Evidence, leaks};
use serde_json::json;

/// With all tests, and by command.
const SOME: usize = 300;
const MANY: usize = 10_000;
/// Customers at a time.
const CUSTOMERS: usize = 16;
/// How often all actors are made to panic; more often than once a second ends the process.
const PANICS: usize = 4;
const ALL_DONE_WITHIN: Duration = Duration::from_secs(75);

#[per_database]
async fn no_code_is_ever_written_down(backend: Backend) {
    search_after(backend, SOME).await;
}

#[ignore = "the long form: tests/system/crash/run leaks"]
#[per_database]
async fn not_one_of_ten_thousand_codes_is_ever_written_down(backend: Backend) {
    search_after(backend, MANY).await;
}

/// A number and the code that it is sent.
struct Order {
    phone: String,
    code: String,
}

/// Random orders. No code is part of a phone, and each begins with a zero: no number that anybody writes does.
fn orders(count: usize, random: &mut StdRng) -> Vec<Order> {
    let phones = (0..count).map(|n| {
        // Most are busy, some hang up after a second, and some hear it all.
        let manner = match n % 20 {
            0 => 11,
            1..4 => 98,
            _ => 90,
        };
        format!("+8498{n:05}{manner}")
    });
    let phones: Vec<String> = phones.collect();
    let mut taken = HashSet::new();
    let mut code = || loop {
        let code = format!("0{:07}", random.random_range(0..10_000_000));
        let is_new = taken.insert(code.clone());
        if is_new && !phones.iter().any(|phone| phone.contains(&code)) {
            return code;
        }
    };
    let orders = phones.iter().map(|phone| Order {
        phone: phone.clone(),
        code: code(),
    });
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
    let mut evidence = Evidence::default();
    let began = Instant::now();
    let (accepted, said) = send(&orders, &gateway, &customer).await;
    evidence.text("what customers were told", said);
    let hooks = all_hooks(&receiver, accepted).await;
    evidence.text("metrics", page(&gateway.metrics).await);
    let trunks = gateway.metrics.replace("/metrics", "/trunks");
    evidence.text("trunks", page(&trunks).await);
    for hook in &hooks {
        evidence.text("a webhook", format!("{hook:?}"));
    }
    // Killed, so that SQLite's log is found as it is.
    gateway.kill();
    evidence.text("the log", gateway.log());
    let database = gateway.database_url();
    match backend {
        Backend::Sqlite => evidence.files_beside(&database),
        Backend::Postgres => {
            let dump = Command::new("pg_dump").arg(&database).output().unwrap();
            assert!(dump.status.success(), "{dump:?}");
            evidence.text("the dump", String::from_utf8(dump.stdout).unwrap());
        }
    }
    let codes: Vec<&str> = orders.iter().map(|order| order.code.as_str()).collect();
    println!(
        "{backend:?}: {accepted} accepted, {} webhooks, {} bytes searched after {:.0} s",
        hooks.len(),
        evidence.size(),
        began.elapsed().as_secs_f32(),
    );
    // It was really at work, and it really logged and wrote.
    assert!(accepted > count / 2, "{accepted} of {count} were accepted");
    assert!(evidence.holds("provoked by a test"), "no panic was logged");
    assert!(
        evidence.holds("+8498"),
        "no phone was found in the database"
    );
    let found = leaks(&evidence, &codes);
    assert!(found.is_empty(), "seed {seed}: {found:#?}");
}

/// Sends every code, in right and in wrong requests; how many were accepted, and all that was said.
async fn send(orders: &[Order], gateway: &Gateway, customer: &Customer) -> (usize, String) {
    let (mut accepted, mut said) = (0, String::new());
    let panics_every = (orders.len() / (PANICS + 1)).max(1);
    for (n, some) in orders.chunks(CUSTOMERS).enumerate() {
        let sent = some.iter().map(|order| one(order, customer));
        for (status, text) in futures_util::future::join_all(sent).await {
            accepted += usize::from(status == 202);
            said.push_str(&text);
            said.push('\n');
        }
        let done = n * CUSTOMERS;
        if done / panics_every != (done + CUSTOMERS) / panics_every {
            ["carriers", "wallets", "webhooks"]
                .into_iter()
                .for_each(|actors| gateway.panic(actors));
        }
    }
    (accepted, said)
}

/// One OTP, and the same code in a request that is refused in one of several ways.
async fn one(order: &Order, customer: &Customer) -> (u16, String) {
    let Order { phone, code } = order;
    let right = json!({ "phone": phone, "code": code }).to_string();
    let wrong = [
        json!({ "phone": "+84123", "code": code }).to_string(),
        json!({ "phone": phone, "code": format!("{code}9") }).to_string(),
        json!({ "phone": code, "code": phone }).to_string(),
        format!("{{\"phone\":\"{phone}\",\"code\":\"{code}\""),
        format!("[\"{code}\"]"),
    ];
    let place = usize::from(code.as_bytes()[7] - b'0') % wrong.len();
    let mut said = String::new();
    let mut status = 0;
    for (body, key) in [
        (wrong[place].clone(), customer.key.as_str()),
        (right.clone(), "sk_live_mistyped"),
        (right, customer.key.as_str()),
    ] {
        let customer = Customer {
            key: key.to_owned(),
            ..customer.clone()
        };
        let answer = patiently(customer.posting(&body)).await;
        status = answer.status;
        said.push_str(&format!(
            "{} {:?} {}\n",
            answer.status, answer.headers, answer.text
        ));
    }
    (status, said)
}

/// Sends it, and again where the gateway is asked for more than it takes at a time.
async fn patiently(request: reqwest::RequestBuilder) -> Answer {
    let give_up = Instant::now() + ALL_DONE_WITHIN;
    loop {
        let again = request.try_clone().unwrap();
        let answer = answer(again).await;
        if answer.status != 503 || Instant::now() >= give_up {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn page(url: &str) -> String {
    answer(client().get(url)).await.text
}

/// Waits until each accepted OTP has been told of by its webhook: then it has ended and is written.
async fn all_hooks(receiver: &Receiver, accepted: usize) -> Vec<Hook> {
    let give_up = Instant::now() + ALL_DONE_WITHIN;
    let mut hooks = Vec::new();
    while hooks.len() < accepted {
        match receiver.try_next() {
            Some(hook) => hooks.push(hook),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        let came = hooks.len();
        assert!(Instant::now() < give_up, "{came} webhooks of {accepted}");
    }
    hooks
}
