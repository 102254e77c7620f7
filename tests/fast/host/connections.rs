//! HTTP connections: their number is bounded, in all and for each client, and slow clients lose theirs.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use harness::{Backend, Gateway, Receiver, SHELL, answer, client, phone, until};

const SOON: Duration = Duration::from_secs(30);
/// No proxy on loopback, so that each loopback address is a client of its own.
const NO_PROXY: (&str, &str) = ("NEXO_SERVER__TRUSTED_PROXIES", "[]");
const NEIGHBOUR: [u8; 4] = [127, 0, 0, 9];

/// A connection to the gateway from this address.
fn connect(gateway: &Gateway, from: [u8; 4]) -> TcpStream {
    let address: SocketAddr = gateway.url["http://".len()..].parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let from = SocketAddr::new(IpAddr::from(from), 0);
    socket.bind(&from.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// The answer to a request; empty if the connection is closed without one.
fn ask(stream: &mut TcpStream) -> String {
    let request = "GET /healthz HTTP/1.1\r\nHost: nexo\r\n\r\n";
    let mut answer = [0; 4096];
    let exchanged = stream.write_all(request.as_bytes());
    let length = exchanged.and_then(|()| stream.read(&mut answer)).unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let gateway = Gateway::start(Backend::Sqlite, &[(SHELL, "ulimit -S -n 200")]);
    let (soft, hard) = gateway.limit("Max open files");
    assert_ne!(hard, "200", "the test needs a higher hard limit");
    assert_eq!(soft, hard);
    assert_eq!(gateway.limit("Max core file size"), ("0".into(), "0".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_of_one_client_do_not_keep_others_out() {
    let receiver = Receiver::start();
    let settings = [
        NO_PROXY,
        (SHELL, "ulimit -n 400"),
        ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
        ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
        ("NEXO_CALLS__REPEAT", "1"),
    ];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    gateway.add_webhook("a@example.com", &receiver.url());
    // More connections than the process may open files.
    let mut first = connect(&gateway, NEIGHBOUR);
    // After a request, a connection stays open for over a minute.
    assert!(ask(&mut first).contains(" 200 OK"));
    let idle: Vec<TcpStream> = (1..500).map(|_| connect(&gateway, NEIGHBOUR)).collect();
    until("connections are refused", SOON, async || {
        let refused = gateway.metric("nexo_http_connections_refused_total").await;
        (refused >= 400.0).then_some(())
    })
    .await;
    for _ in 0..2 {
        let sent = customer.send(&phone(1), "4829").await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let id = sent.json["id"].as_str().unwrap();
        assert_eq!(customer.terminal(id).await.json["status"], "delivered");
        assert_eq!(receiver.next().header("X-NEXO-Delivery-Id"), id);
    }
    assert!(ask(&mut first).contains(" 200 OK"), "an admitted connection");
    let open = gateway.metric("nexo_http_connections").await;
    let limit = gateway.metric("nexo_http_connections_limit").await;
    assert!(open <= limit && limit <= 400.0 / 4.0, "{open} of {limit}");
    // Closed connections make room for new ones.
    drop((first, idle));
    until("the neighbour is admitted again", SOON, async || {
        ask(&mut connect(&gateway, NEIGHBOUR)).contains(" 200 OK").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_answered_and_closed_and_a_reload_changes_the_limit() {
    let config = |limit: u32| {
        format!(
            "[server]\ntrusted_proxies = [\"127.0.0.1\"]\nmax_connections_per_address = {limit}\n"
        )
    };
    let gateway = Gateway::configured(Backend::Sqlite, &config(2), &[]);
    let mut held = [0, 1].map(|_| connect(&gateway, NEIGHBOUR));
    for stream in &mut held {
        assert!(ask(stream).contains(" 200 OK"));
    }
    let mut refused = connect(&gateway, NEIGHBOUR);
    let request = "POST /api/v1/send-otp HTTP/1.1\r\nHost: nexo\r\nContent-Length: 2\r\n\r\n{}";
    refused.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    refused.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    for header in ["connection: close", "retry-after: 1", "x-request-id: "] {
        assert!(head.to_ascii_lowercase().contains(header), "{head}");
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"], "overloaded");
    // Supabase repeats a request at once on any Retry-After.
    let mut refused = connect(&gateway, NEIGHBOUR);
    let request =
        request.replace("/send-otp", "/hooks/supabase/0190a000-0000-7000-8000-000000000000");
    refused.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    refused.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    assert!(!text.to_ascii_lowercase().contains("retry-after"), "{text}");
    // A trusted proxy has no limit of its own.
    let mut proxied: Vec<_> = (0..20).map(|_| connect(&gateway, [127, 0, 0, 1])).collect();
    for stream in &mut proxied {
        assert!(ask(stream).contains(" 200 OK"));
    }
    gateway.reload(&config(3));
    until("the new limit is in force", SOON, async || {
        ask(&mut connect(&gateway, NEIGHBOUR)).contains(" 200 OK").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_stops_in_its_head_or_body_loses_its_connection() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut idle = connect(&gateway, NEIGHBOUR);
    assert!(ask(&mut idle).contains(" 200 OK"));
    let parts = [
        // The second request of a connection: actix-web limits only the first.
        "GET /healthz HTTP/1.1\r\nX-Slow: ",
        "POST /api/v1/send-otp HTTP/1.1\r\nHost: nexo\r\nAuthorization: Bearer KEY\r\nContent-Length: 9\r\n\r\n{",
        "POST /auth/sign-in HTTP/1.1\r\nHost: nexo\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\nemail=",
    ];
    let key = gateway.customer("a@example.com", "1.00").key;
    let ends = parts.map(|part| {
        let mut stream = connect(&gateway, NEIGHBOUR);
        assert!(ask(&mut stream).contains(" 200 OK"));
        stream.write_all(part.replace("KEY", &key).as_bytes()).unwrap();
        std::thread::spawn(move || {
            // An answer may come first. What matters is the end: closed or reset, not a timeout of this read.
            let mut rest = Vec::new();
            let end = stream.read_to_end(&mut rest);
            match end {
                Ok(_) => None,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
                Err(error) => Some(format!("{part:?}: {error}")),
            }
        })
    });
    for end in ends {
        assert_eq!(end.join().unwrap(), None);
    }
    // A connection between two requests is not slow.
    assert!(ask(&mut idle).contains(" 200 OK"));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_block_the_metrics_port_for_long() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let address = &gateway.metrics["http://".len()..gateway.metrics.len() - "/metrics".len()];
    let _idle: Vec<_> = (0..300).map(|_| TcpStream::connect(address)).collect();
    // The API has limits of its own. This also installs the TLS provider that the client below needs.
    let request = client().get(format!("{}/healthz", gateway.url));
    assert_eq!(answer(request).await.status, 200);
    until("the metrics are available", SOON, async || {
        let local = IpAddr::from([127, 0, 0, 77]);
        let http = reqwest::Client::builder().local_address(local).no_proxy();
        let page = http.build().unwrap().get(&gateway.metrics).send().await;
        page.is_ok_and(|page| page.status() == 200).then_some(())
    })
    .await;
}
