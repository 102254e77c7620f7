//! Tests of fairness: what one account reads, however much at a time, does not take the gateway from the others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::join_all;
use harness::past::Past;
use harness::visitor::Visitor;
use harness::{
    Answer, Backend, Customer, Gateway, client, per_database, phone, read_answer, until,
};
use socket2::{Domain, Socket, Type};

const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");
/// Enough for several chunks of an export.
const DELIVERIES: u32 = 6_000;
/// The downloads that the account repeats, and those that it starts and does not read.
const GREEDY: usize = 50;
const UNREAD: usize = 200;

/// The lists or pages that the account requests at the same time.
const FLOOD: usize = 120;

/// A gateway with an account that has many deliveries.
async fn gateway_with_history(backend: Backend, settings: &[(&str, &str)]) -> (Gateway, Customer) {
    let gateway = Gateway::start(backend, &[&[QUICK], settings].concat());
    let attacker = gateway.customer("attacker@example.com", "500.00");
    let mut past = Past::of(&gateway, &attacker, "attacker@example.com").await;
    past.deliveries(DELIVERIES).await;
    (gateway, attacker)
}

async fn csv(customer: &Customer, path: &str) -> Answer {
    let url = format!("{}/{path}", customer.api);
    served(|| {
        let request = unpooled().get(&url).bearer_auth(&customer.key);
        request.header("Accept", "text/csv")
    })
    .await
}

/// A download whose client has sent the request and reads nothing.
fn unread_download(customer: &Customer) -> TcpStream {
    let host = customer.api.trim_start_matches("http://");
    let host = host.split('/').next().unwrap();
    // With small buffers on both sides the gateway cannot finish what the client does not read.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.set_tcp_mss(1_000).unwrap();
    let address: SocketAddr = host.parse().unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    let request = format!(
        "GET /api/v1/deliveries HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nAccept: text/csv\r\n\r\n",
        customer.key
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The status of a response whose body is not read.
fn status(stream: &mut TcpStream) -> u16 {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    let line = std::str::from_utf8(&line).unwrap();
    line.strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
}

fn assert_too_many(answer: &Answer) {
    let actual = (answer.status, answer.error());
    assert_eq!(actual, (429, "too_many_requests"), "{}", answer.text);
    let seconds = answer.header("retry-after").unwrap();
    assert_eq!(seconds, answer.json["retry_after_seconds"].to_string(), "{}", answer.text);
}

/// A client that opens a connection for each request. A pooled one may be closed by the server while it is idle.
fn unpooled() -> reqwest::Client {
    // Building one reads the system's certificates, which takes long.
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        // Installs the TLS provider.
        let _ = client();
        let unpooled = reqwest::Client::builder().no_proxy();
        unpooled.pool_max_idle_per_host(0).build().unwrap()
    });
    CLIENT.clone()
}

/// The answer to a request. It is repeated if the server closed the connection because the client was late.
async fn served(request: impl Fn() -> reqwest::RequestBuilder) -> Answer {
    loop {
        match request().send().await {
            Ok(response) if response.status() != 408 => return read_answer(response).await,
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Everything that keeps the gateway running works for `customers`, whose keys are not cached yet.
async fn assert_served(gateway: &Gateway, customers: &[Customer]) {
    for customer in customers {
        let customer = Customer { http: unpooled(), ..customer.clone() };
        let sent = served(|| {
            let body = format!(r#"{{"phone":"{}","code":"482917"}}"#, phone(67));
            customer.otp_request(&body)
        });
        let sent = sent.await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        for path in ["balance", "deliveries"] {
            let url = format!("{}/{path}", customer.api);
            let read = served(|| customer.http.get(&url).bearer_auth(&customer.key)).await;
            assert_eq!(read.status, 200, "{path}: {}", read.text);
        }
        let url = format!("{}/readyz", gateway.url);
        let ready = served(|| customer.http.get(&url)).await;
        assert_eq!(ready.status, 200, "{}", ready.text);
    }
}

#[per_database]
async fn hundreds_of_downloads_of_one_account_leave_the_others_alone(backend: Backend) {
    let (gateway, attacker) = gateway_with_history(backend, &[]).await;
    let others: Vec<Customer> =
        (0..8).map(|n| gateway.customer(&format!("other{n}@example.com"), "1.00")).collect();
    // Half of the clients download again and again; the others never read.
    let is_over = Arc::new(AtomicBool::new(false));
    let greedy = (0..GREEDY).map(|_| {
        let (attacker, is_over) = (attacker.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let request = unpooled().get(format!("{}/deliveries", attacker.api));
                let request = request.bearer_auth(&attacker.key);
                let sent = request.header("Accept", "text/csv").send().await;
                // The server closes a connection whose request is late, as it may be on a busy machine.
                let Ok(mut response) = sent else { continue };
                if response.status() == 429 {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                while let Ok(Some(_)) = response.chunk().await {}
            }
        })
    });
    let greedy: Vec<_> = greedy.collect();
    let mut unread: Vec<TcpStream> = (0..UNREAD).map(|_| unread_download(&attacker)).collect();
    assert_served(&gateway, &others).await;
    is_over.store(true, Ordering::Relaxed);
    for download in greedy {
        download.await.unwrap();
    }
    let statuses: Vec<u16> = unread.iter_mut().map(status).collect();
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!(served <= 2, "{served} downloads at the same time");
    assert!(statuses.iter().all(|s| [200, 429].contains(s)));
    assert!(gateway.metric("nexo_reads_refused_total").await >= (UNREAD - 2) as f64);
    drop(unread);
    // Closed connections free their places.
    until("a download", Duration::from_secs(20), async || {
        let answer = csv(&attacker, "deliveries").await;
        (answer.status == 200).then(|| {
            assert_eq!(answer.text.lines().count(), DELIVERIES as usize + 1);
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_not_read_gives_its_place_to_the_next_one() {
    let stall = ("NEXO_TEST_EXPORT_STALL_MS", "300");
    let (gateway, attacker) = gateway_with_history(Backend::Sqlite, &[stall]).await;
    let mut unread: Vec<TcpStream> = (0..2).map(|_| unread_download(&attacker)).collect();
    for stream in &mut unread {
        assert_eq!(status(stream), 200);
    }
    let whole = until("a place", Duration::from_secs(20), async || {
        let answer = csv(&attacker, "deliveries").await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(whole.text.lines().count(), DELIVERIES as usize + 1);
    assert!(gateway.metric("nexo_exports_stalled_total").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_downloads_of_all_accounts_together_are_bounded() {
    let (gateway, one) =
        gateway_with_history(Backend::Sqlite, &[("NEXO_SERVER__EXPORTS", "2")]).await;
    let other = gateway.customer("other@example.com", "1.00");
    let mut unread: Vec<TcpStream> = (0..2).map(|_| unread_download(&one)).collect();
    for stream in &mut unread {
        assert_eq!(status(stream), 200);
    }
    let refused = csv(&other, "ledger").await;
    assert_too_many(&refused);
    let message = refused.json["message"].as_str().unwrap();
    assert!(message.contains("as many CSV downloads as it can"), "{message}");
    // A page as CSV is not a stream.
    assert_eq!(csv(&other, "ledger?limit=5").await.status, 200);
    drop(unread);
    until("a place", Duration::from_secs(20), async || {
        (csv(&other, "ledger").await.status == 200).then_some(())
    })
    .await;
}

#[per_database]
async fn hundreds_of_lists_of_one_account_leave_the_others_alone(backend: Backend) {
    let (gateway, attacker) = gateway_with_history(backend, &[]).await;
    let others: Vec<Customer> =
        (0..4).map(|n| gateway.customer(&format!("other{n}@example.com"), "1.00")).collect();
    let flood = (0..FLOOD).map(|n| {
        let attacker = attacker.clone();
        tokio::spawn(async move {
            let path = match n % 3 {
                0 => "deliveries?limit=200&carrier=wintel",
                1 => "ledger?limit=200&kind=grant",
                _ => "deliveries?limit=200&phone=%2B84981234567",
            };
            let url = format!("{}/{path}", attacker.api);
            let request = unpooled().get(url).bearer_auth(&attacker.key);
            // The server closes a connection whose request is late, as it may be on a busy machine.
            match request.send().await {
                Ok(response) => Some(read_answer(response).await),
                Err(_) => None,
            }
        })
    });
    let flood: Vec<_> = flood.collect();
    assert_served(&gateway, &others).await;
    let answers = join_all(flood).await;
    let answers: Vec<Answer> = answers.into_iter().filter_map(Result::unwrap).collect();
    assert!(!answers.is_empty());
    // Its own requests may wait for too long, or be late on a busy machine.
    for answer in answers.iter().filter(|answer| ![200, 408, 503].contains(&answer.status)) {
        assert_too_many(answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_pages_of_one_member_leave_the_others_alone() {
    let gateway = Gateway::start(Backend::Sqlite, &[QUICK]);
    let attacker = Visitor::signed_up(&gateway, "attacker@example.com").await;
    let mut member = Visitor::signed_up(&gateway, "member@example.com").await;
    let other = gateway.customer("other@example.com", "1.00");
    let flood = (0..FLOOD).map(|n| {
        let mut attacker = attacker.clone();
        tokio::spawn(async move {
            let path = ["", "/deliveries", "/wallet", "/referrals", "/webhooks"][n % 5];
            attacker.get(&format!("/dashboard{path}")).await
        })
    });
    let flood: Vec<_> = flood.collect();
    for path in ["", "/deliveries", "/wallet"] {
        let page = member.get(&format!("/dashboard{path}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
    }
    assert_served(&gateway, &[other]).await;
    let mut served = 0;
    for page in join_all(flood).await {
        let page = page.unwrap();
        match page.status {
            200 => served += 1,
            429 => {
                assert_eq!(page.header("retry-after"), "1");
                page.must_contain("Too many requests at the same time");
            }
            // Late by its own fault, or on a busy machine.
            408 | 503 => {}
            other => panic!("{other}: {}", page.text),
        }
    }
    assert!(served > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_members_download_beyond_the_limit_is_refused_with_a_page() {
    let settings = [QUICK, ("NEXO_SERVER__EXPORTS_PER_ACCOUNT", "1")];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let mut member = Visitor::signed_up(&gateway, "member@example.com").await;
    let key = gateway.nexo(&["key", "create", "--account", "member@example.com", "--name", "t"]);
    let customer = Customer {
        key: key["key"].as_str().unwrap().to_owned(),
        key_id: key["id"].as_str().unwrap().to_owned(),
        api: format!("{}/api/v1", gateway.url),
        http: client(),
    };
    let mut past = Past::of(&gateway, &customer, "member@example.com").await;
    gateway.nexo(&[
        "wallet",
        "credit",
        "--account",
        "member@example.com",
        "--bucket",
        "balance",
        "--amount",
        "300",
        "--reference",
        "r",
    ]);
    past.deliveries(DELIVERIES).await;
    let mut unread = unread_download(&customer);
    assert_eq!(status(&mut unread), 200);
    for path in ["deliveries.csv", "wallet/ledger.csv"] {
        let page = member.get(&format!("/dashboard/{path}")).await;
        assert_eq!(page.status, 429, "{path}: {}", page.text);
        assert_eq!(page.header("retry-after"), "5");
        page.must_contain("as many downloads in progress as it can");
    }
    drop(unread);
    until("the download", Duration::from_secs(20), async || {
        let page = member.get("/dashboard/deliveries.csv").await;
        (page.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_limits() {
    let gateway = Gateway::configured(Backend::Sqlite, "[server]\nexports = 1\n", &[QUICK]);
    let customer = gateway.customer("a@example.com", "300.00");
    let mut past = Past::of(&gateway, &customer, "a@example.com").await;
    past.deliveries(DELIVERIES).await;
    let mut unread = unread_download(&customer);
    assert_eq!(status(&mut unread), 200);
    assert_too_many(&csv(&customer, "ledger").await);
    gateway.reload("[server]\nexports = 3\n");
    until("the new limit", Duration::from_secs(20), async || {
        (csv(&customer, "ledger").await.status == 200).then_some(())
    })
    .await;
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn free_requests_of_one_caller_are_paced_and_nothing_else() {
    let pace = [QUICK, ("NEXO_SERVER__FREE_REQUESTS_PER_SECOND", "5")];
    let gateway = Gateway::start(Backend::Sqlite, &pace);
    let without_funds = gateway.customer("penniless@example.com", "0.01");
    let other = gateway.customer("other@example.com", "1.00");
    let body = || format!(r#"{{"phone":"{}","code":"482917"}}"#, phone(67));
    let requests = (0..30).map(|_| without_funds.otp_request(&body()).send());
    for answer in join_all(requests).await {
        assert_eq!(answer.unwrap().status(), 402);
    }
    // A second's requests are free to come at once; the machine may have been slow.
    let paced = gateway.metric("nexo_http_requests_paced_total").await;
    assert!((1.0..=25.0).contains(&paced), "{paced}");
    // Neither another account nor an accepted OTP waits, and a read of the account does.
    for _ in 0..12 {
        let request = other.otp_request(&body());
        assert_eq!(request.send().await.unwrap().status(), 202);
    }
    assert_eq!(gateway.metric("nexo_http_requests_paced_total").await, paced);
    let mut reads = 0;
    until("a delayed read", Duration::from_secs(20), async || {
        assert_eq!(other.get("balance").await.status, 200);
        reads += 1;
        let now_paced = gateway.metric("nexo_http_requests_paced_total").await;
        (now_paced > paced).then_some(())
    })
    .await;
    // The first five fit into the burst.
    assert!(reads > 5, "{reads}");
}
