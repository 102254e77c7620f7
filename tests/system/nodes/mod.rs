//! Several nodes on one PostgreSQL: exclusive phone windows, shared wallets, settlement of a dead node's
//! deliveries, and the effect of a paused node, a killed node and a crashed database server on OTPs.

mod rolling_restart;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::postgres_server::Server;
use harness::scripted_gateway::ScriptedGateway;
use harness::{
    Answer, Backend, Customer, FreshDatabase, Gateway, Receiver, answer, client, phone,
    read_answer, until,
};

/// Upper bound for settling a dead node's deliveries: the lease (10 s), the time in which a call dialled just
/// before the end may still be answered (4 s) and last (60 s), and one polling interval of the other nodes.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// Limits calls to 5 s, which shortens the settlement accordingly.
const SHORT_CALLS: (&str, &str) = ("NEXO_TEST_LONGEST_CALL_MS", "5000");
const SHORT_CALLS_SETTLED_WITHIN: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(20);

/// Whether a PostgreSQL server is configured. Prints a message if not.
fn has_postgres() -> bool {
    let has = std::env::var("NEXO_TEST_POSTGRES_URL").is_ok();
    if !has {
        eprintln!("skipped: NEXO_TEST_POSTGRES_URL names no PostgreSQL, and SQLite has one node");
    }
    has
}

/// The same customer, connected to another node.
fn at(customer: &Customer, node: &Gateway) -> Customer {
    Customer { api: format!("{}/api/v1", node.url), http: client(), ..customer.clone() }
}

async fn readiness(node: &Gateway) -> Answer {
    answer(client().get(format!("{}/readyz", node.url))).await
}

fn pair(settings: &[(&str, &str)]) -> (Gateway, Gateway) {
    let of_a = [&[("NEXO_CLUSTER__NODE", "a")][..], settings].concat();
    let of_b = [&[("NEXO_CLUSTER__NODE", "b")][..], settings].concat();
    let a = Gateway::start(Backend::Postgres, &of_a);
    let b = a.beside(&of_b);
    (a, b)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_200_posts_at_once_for_one_phone_on_two_nodes_exactly_one_is_accepted() {
    if !has_postgres() {
        return;
    }
    let rounds = std::env::var("NEXO_TEST_ROUNDS");
    let rounds: usize = rounds.map_or(5, |rounds| rounds.parse().unwrap());
    let (a, b) = pair(&[]);
    let on_a = a.customer("a@example.com", "100");
    let on_b = at(&on_a, &b);
    for round in 0..rounds {
        let phone = phone(90);
        let posts = (0..200).map(|n| {
            let customer = if n % 2 == 0 { &on_a } else { &on_b };
            customer.send(&phone, "482917")
        });
        let mut by_status: HashMap<u16, usize> = HashMap::new();
        for answer in join_all(posts).await {
            if answer.status == 429 {
                assert_eq!(answer.error(), "rate_limited");
            }
            *by_status.entry(answer.status).or_default() += 1;
        }
        let expected = HashMap::from([(202, 1), (429, 199)]);
        assert_eq!(by_status, expected, "round {round}");
    }
    // Each call ends as busy and is charged.
    let spent = 0.022 * rounds as f64;
    until("every call ends", SOON, async || {
        let (in_a, in_b) = (a.metric("nexo_calls_in_progress"), b.metric("nexo_calls_in_progress"));
        (in_a.await + in_b.await == 0.0).then_some(())
    })
    .await;
    let total: f64 = on_b.balance().await.1.parse().unwrap();
    assert!((100.0 - spent - total).abs() < 1e-9, "{total} is left");
    a.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_two_nodes_spend_is_spent_to_the_last_otp_and_no_further() {
    if !has_postgres() {
        return;
    }
    let (a, b) = pair(&[]);
    // Funds for 50 OTPs.
    let on_a = a.customer("a@example.com", "1.1");
    let on_b = at(&on_a, &b);
    let posts = (0..120).map(|n| {
        let customer = if n % 2 == 0 { on_a.clone() } else { on_b.clone() };
        async move { customer.send(&phone(90), "482917").await.status }
    });
    let statuses = join_all(posts).await;
    let of = |status| statuses.iter().filter(|s| **s == status).count();
    assert_eq!((of(202), of(402)), (50, 70), "{statuses:?}");
    assert_eq!(on_a.balance().await.1, "0.000");
    a.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_is_refused_by_every_node_within_a_second() {
    if !has_postgres() {
        return;
    }
    let (a, b) = pair(&[]);
    let on_a = a.customer("a@example.com", "10");
    let on_b = at(&on_a, &b);
    // Cache the key on both nodes.
    for customer in [&on_a, &on_b] {
        assert_eq!(customer.send(&phone(90), "482917").await.status, 202);
    }
    let (url, id) = (a.url.clone(), on_a.key_id.clone());
    let a = tokio::task::spawn_blocking(move || {
        a.nexo(&["key", "revoke", &id]);
        a
    })
    .await
    .unwrap();
    let revoked = Instant::now();
    assert_eq!(a.url, url);
    for customer in [&on_b, &on_a] {
        until("the key is refused", SOON, async || {
            let after = revoked.elapsed();
            let answer = customer.send(&phone(90), "482917").await;
            let is_refused = answer.status == 401;
            assert!(
                is_refused || after < Duration::from_secs(1),
                "{} for a request {after:?} after the revocation",
                answer.status
            );
            is_refused.then_some(())
        })
        .await;
    }
}

#[test]
fn two_nodes_that_start_at_once_on_an_empty_database_both_serve() {
    if !has_postgres() {
        return;
    }
    for _ in 0..3 {
        let database = FreshDatabase::create(Backend::Postgres);
        let nodes: Vec<Gateway> = std::thread::scope(|scope| {
            let starts: Vec<_> = ["a", "b"]
                .map(|name| {
                    let url = database.url.as_str();
                    let settings = [("NEXO_CLUSTER__NODE", name), ("NEXO_DATABASE__URL", url)];
                    scope.spawn(move || Gateway::start(Backend::Sqlite, &settings))
                })
                .into_iter()
                .collect();
            starts.into_iter().map(|s| s.join().unwrap()).collect()
        });
        // Exactly one node created the demo account.
        let keys = nodes.iter().filter(|node| node.demo_key.is_some());
        assert_eq!(keys.count(), 1);
    }
}

#[test]
fn a_second_process_of_the_same_name_is_refused_and_a_killed_one_is_replaced_at_once() {
    if !has_postgres() {
        return;
    }
    let mut a = Gateway::start(Backend::Postgres, &[("NEXO_CLUSTER__NODE", "a")]);
    let (code, stderr) = a.second_server();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("node a already runs on this database"), "{stderr}");
    assert!(stderr.contains("[cluster] node"), "{stderr}");
    let killed = Instant::now();
    a.kill_and_restart();
    let took = killed.elapsed();
    // The lease of the killed process would have lasted at least 8 s.
    assert!(took < Duration::from_secs(6), "took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_node_neither_dials_nor_writes_when_it_resumes() {
    if !has_postgres() {
        return;
    }
    let (rings, silent, spare) =
        (ScriptedGateway::ringing(), ScriptedGateway::silent(), ScriptedGateway::ringing());
    let hooks = Receiver::start();
    let carriers = format!(
        r#"[{{name="viettel",gateways=[{}]}},{{name="mobifone",gateways=[{},{}]}}]"#,
        rings.inline_table("rings", 1, "options_ping_seconds=0"),
        silent.inline_table("silent", 1, "options_ping_seconds=0"),
        spare.inline_table("spare", 2, "options_ping_seconds=0"),
    );
    let webhooks = [
        ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
        ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
        SHORT_CALLS,
    ];
    let of_a = [("NEXO_CLUSTER__NODE", "a"), ("NEXO_CARRIERS", carriers.as_str())];
    let a = Gateway::start(Backend::Postgres, &[&of_a[..], &webhooks].concat());
    let b = a.beside(&[&[("NEXO_CLUSTER__NODE", "b")][..], &webhooks].concat());
    let on_a = a.customer("a@example.com", "10");
    let on_b = at(&on_a, &b);
    a.add_webhook("a@example.com", &hooks.url());

    // One call rings. Another waits for a silent gateway; the spare gateway would be next.
    let ringing = on_a.send(&phone(11), "482917").await;
    assert_eq!(ringing.status, 202, "{}", ringing.text);
    let ringing = ringing.json["id"].as_str().unwrap().to_owned();
    let failing_over = post(&on_a, "+84901234511");
    until("the silent gateway receives an INVITE", SOON, async || {
        (!silent.requests("INVITE").is_empty()).then_some(())
    })
    .await;
    a.signal("STOP");
    let dialled = [&rings, &silent, &spare].map(|far_end| far_end.requests("INVITE").len());
    assert_eq!(dialled[2], 0);
    // This request arrives while the process is stopped.
    let late = at(&on_a, &a).otp_request(r#"{"phone": "+84981234511", "code": "482917"}"#);
    let late = tokio::spawn(late.send());

    let settled_within = SHORT_CALLS_SETTLED_WITHIN;
    let ended = until("the other node settles", settled_within, async || {
        let answer = on_b.get(&format!("deliveries/{ringing}")).await;
        (answer.json["status"] != "sent").then_some(answer)
    })
    .await;
    assert_eq!(ended.json["status"], "failed");
    assert_eq!(ended.json["error_code"], "interrupted");
    let both: HashSet<String> =
        (0..2).map(|_| hooks.next().header("x-nexo-delivery-id").to_owned()).collect();
    assert!(both.contains(&ringing) && both.len() == 2, "{both:?}");
    assert_eq!(on_b.balance().await.1, "10.000");
    assert_eq!(b.metric("nexo_node_takeovers_total").await, 1.0);
    b.audit();

    a.signal("CONT");
    until("the node is ready again", SOON, async || {
        (readiness(&a).await.status == 200).then_some(())
    })
    .await;
    let answer = failing_over.await.unwrap();
    assert_eq!((answer.status, answer.error()), (503, "overloaded"));
    assert!(answer.header("retry-after").is_some());
    // The resumed node may accept this request if it has registered a new epoch before it reads the socket.
    // Otherwise it answers 503, its HTTP server times out with 408, or the connection is closed.
    let mut new = 0;
    match late.await.unwrap() {
        Ok(answer) => {
            let answer = read_answer(answer).await;
            let overloaded = answer.status == 503 && answer.error() == "overloaded";
            new = usize::from(answer.status == 202);
            assert!(
                new == 1 || overloaded || answer.status == 408,
                "{} {}",
                answer.status,
                answer.text
            );
        }
        Err(error) => assert!(error.is_request() && !error.is_connect(), "{error:?}"),
    }
    until("the node's calls have ended", SOON, async || {
        (a.metric("nexo_calls_in_progress").await == new as f64).then_some(())
    })
    .await;
    assert_eq!(
        [&rings, &silent, &spare].map(|far_end| far_end.requests("INVITE").len()),
        [dialled[0] + new, dialled[1], dialled[2]]
    );
    // Use a new connection: those from before the pause are being closed as idle.
    let on_a = at(&on_a, &a);
    let now = on_a.get(&format!("deliveries/{ringing}")).await;
    assert_eq!(now.text, ended.text);
    let left = if new == 1 { "9.978" } else { "10.000" };
    assert_eq!(on_a.balance().await.1, left);
    assert!(hooks.try_next().is_none());
    assert_eq!(a.metric("nexo_node_lease_lost_total").await, 1.0);
    until("the node has a new epoch", SOON, async || {
        (a.metric("nexo_node_epoch").await == 3.0).then_some(())
    })
    .await;
    a.audit();

    let retried = on_a.send(&phone(11), "482917").await;
    assert_eq!(retried.status, 202, "{}", retried.text);
    assert_eq!(rings.requests("INVITE").len(), dialled[0] + new + 1);
}

/// Sends an OTP in the background.
fn post(customer: &Customer, phone: &str) -> tokio::task::JoinHandle<Answer> {
    let (customer, phone) = (customer.clone(), phone.to_owned());
    tokio::spawn(async move { customer.send(&phone, "482917").await })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_nodes_calls_are_settled_and_its_webhooks_are_sent_once() {
    if !has_postgres() {
        return;
    }
    let (rings, busy) = (ScriptedGateway::ringing(), ScriptedGateway::busy());
    let carriers = format!(
        r#"[{{name="viettel",gateways=[{}]}},{{name="mobifone",gateways=[{}]}}]"#,
        rings.inline_table("rings", 1, "options_ping_seconds=0"),
        busy.inline_table("busy", 1, "options_ping_seconds=0")
    );
    let webhooks = [
        ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
        ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
        ("NEXO_WEBHOOKS__TIMEOUT_MS", "60000"),
    ];
    let of_a = [("NEXO_CLUSTER__NODE", "a"), ("NEXO_CARRIERS", carriers.as_str())];
    let mut a = Gateway::start(Backend::Postgres, &[&of_a[..], &webhooks].concat());
    let on_a = a.customer("a@example.com", "10");
    // The receiver holds its responses: after 16 POSTs the rest waits in the outbox.
    let hooks = Receiver::start();
    hooks.hold_answers(true);
    a.add_webhook("a@example.com", &hooks.url());

    let ringing = on_a.send(&phone(11), "482917").await;
    let ringing = ringing.json["id"].as_str().unwrap().to_owned();
    let mut ended = Vec::new();
    for n in 0..20 {
        // These calls end at once.
        let answer = on_a.send(&format!("+8490{n:05}90"), "482917").await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        ended.push(answer.json["id"].as_str().unwrap().to_owned());
    }
    for id in &ended {
        on_a.terminal(id).await;
    }
    let held: Vec<String> =
        (0..16).map(|_| hooks.next().header("x-nexo-delivery-id").to_owned()).collect();
    a.kill();
    hooks.hold_answers(false);

    let b = a.beside(&[&[("NEXO_CLUSTER__NODE", "b")][..], &webhooks].concat());
    let on_b = at(&on_a, &b);
    let sent: Vec<String> =
        (0..4).map(|_| hooks.next().header("x-nexo-delivery-id").to_owned()).collect();
    let all: HashSet<&String> = held.iter().chain(&sent).collect();
    assert_eq!(all, ended.iter().collect::<HashSet<_>>());

    let settled = until("the other node settles", SETTLED_WITHIN, async || {
        let answer = on_b.get(&format!("deliveries/{ringing}")).await;
        (answer.json["status"] != "sent").then_some(answer)
    })
    .await;
    assert_eq!(settled.json["error_code"], "interrupted");
    assert_eq!(hooks.next().header("x-nexo-delivery-id"), ringing);
    // The busy calls are charged; the interrupted call is refunded.
    assert_eq!(on_b.balance().await.1, "9.560");
    assert_eq!(rings.requests("INVITE").len(), 1);
    let statuses = |status: &str| {
        b.query(&format!("SELECT count(*) FROM webhook_attempts WHERE status = '{status}'"))
    };
    until("the last webhook result is written", SOON, async || {
        (statuses("delivered") == "5").then_some(())
    })
    .await;
    assert_eq!((statuses("unknown").as_str(), statuses("sending").as_str()), ("16", "0"));
    assert!(hooks.try_next().is_none());
    b.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_under_load_loses_no_accepted_delivery() {
    if !has_postgres() {
        return;
    }
    let Some(server) = Server::start() else {
        eprintln!("skipped: no PostgreSQL is installed under /usr/lib/postgresql");
        return;
    };
    let url = server.url();
    let of = |name| [("NEXO_CLUSTER__NODE", name), ("NEXO_DATABASE__URL", url.as_str())];
    let a = Gateway::start(Backend::Sqlite, &of("a"));
    let b = a.beside(&of("b"));
    let on_a = a.customer("a@example.com", "1000");
    let on_b = at(&on_a, &b);
    let unused = a.nexo(&["key", "create", "--account", "a@example.com", "--name", "unused"]);
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let loads: Vec<_> = (0..8)
        .map(|n| {
            let customer = if n % 2 == 0 { &on_a } else { &on_b };
            tokio::spawn(load(customer.clone(), Arc::clone(&stop), Arc::clone(&count)))
        })
        .collect();
    let wait_for_more = async || {
        let enough = count.load(Ordering::Relaxed) + 50;
        until("OTPs are accepted", SOON, async || {
            (count.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
    };
    wait_for_more().await;
    server.crash();
    for node in [&a, &b] {
        let not_ready = until("the node is not ready", SOON, async || {
            let answer = readiness(node).await;
            answer.text.contains("lease has ended").then_some(answer)
        })
        .await;
        assert_eq!(not_ready.status, 503);
    }
    // A node that cannot look up an unknown key answers 503, not 401.
    let uncached = Customer { key: unused["key"].as_str().unwrap().to_owned(), ..on_b.clone() };
    let answer = uncached.send(&phone(90), "482917").await;
    assert_eq!((answer.status, answer.error()), (503, "overloaded"));
    server.start_again();
    for (node, customer) in [(&a, &on_a), (&b, &on_b)] {
        until("the node is ready again", SOON, async || {
            (readiness(node).await.status == 200).then_some(())
        })
        .await;
        until("the node accepts OTPs again", SOON, async || {
            let answer = customer.send(&phone(90), "482917").await;
            (answer.status == 202).then_some(())
        })
        .await;
    }
    wait_for_more().await;
    stop.store(true, Ordering::Relaxed);
    let mut accepted = Vec::new();
    for load in loads {
        accepted.extend(load.await.unwrap());
    }
    assert!(accepted.len() > 20, "{} were accepted", accepted.len());
    for id in &accepted {
        let delivery = on_b.terminal(id).await;
        assert_eq!(delivery.json["error_code"], "busy", "{}", delivery.text);
    }
    // By then, deliveries with an unknown outcome are refunded.
    until("no delivery is in progress", SOON, async || {
        let open = b.query("SELECT count(*) FROM deliveries WHERE status = 'sent'");
        (open == "0").then_some(())
    })
    .await;
    a.audit();
    let spent = accepted_and_kept(&b);
    let total: f64 = on_a.balance().await.1.parse().unwrap();
    assert!((1000.0 - 0.022 * spent - total).abs() < 1e-6, "{total} is left");
}

/// The number of deliveries that were charged and not refunded.
fn accepted_and_kept(node: &Gateway) -> f64 {
    let kept = node.query("SELECT count(*) FROM deliveries WHERE error_code = 'busy'");
    kept.parse().unwrap()
}

/// Sends OTPs to busy numbers until `stop` is set. Returns the ids of the accepted OTPs.
async fn load(customer: Customer, stop: Arc<AtomicBool>, count: Arc<AtomicUsize>) -> Vec<String> {
    let mut accepted = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let answer = customer.send(&phone(90), "482917").await;
        match answer.status {
            202 => {
                accepted.push(answer.json["id"].as_str().unwrap().to_owned());
                count.fetch_add(1, Ordering::Relaxed);
            }
            503 => {
                assert_eq!(answer.error(), "overloaded");
                assert!(answer.header("retry-after").is_some());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => panic!("{other}: {}", answer.text),
        }
    }
    accepted
}
