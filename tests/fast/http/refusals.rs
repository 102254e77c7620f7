//! Tests of requests that the HTTP parser refuses, and of floods of refused requests.

use std::net::UdpSocket;

use harness::ports::free_ports;
use harness::raw_http::{RawAnswer, exchange, request};
use harness::visitor::Visitor;
use harness::{Backend, Gateway, until};
use std::time::Duration;

/// The log of a flood may have this many lines of warnings and errors, whatever the flood's size.
const MAX_LINES: usize = 60;
/// Requests of each kind.
const FLOOD: usize = 500;
/// Requests that take the server long.
const SLOW_FLOOD: usize = 80;

fn warnings(gateway: &Gateway) -> Vec<String> {
    let is_warning = |line: &&str| {
        let is_of_the_start = line.contains("no carrier has a gateway");
        (line.contains("WARN") || line.contains("ERROR")) && !is_of_the_start
    };
    let log = gateway.log();
    log.lines().filter(is_warning).map(str::to_owned).collect()
}

fn must_be_refused(answer: &RawAnswer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = answer.json();
    assert_eq!((&body["ok"], &body["error"]), (&false.into(), &error.into()));
    assert!(body["message"].as_str().unwrap().ends_with('.'), "{body}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("connection"), "close");
    assert!(uuid::Uuid::parse_str(answer.header("x-request-id")).is_ok());
}

#[actix_web::test]
async fn refusals_of_the_parser_have_an_id_and_a_json_body() {
    let gateway = Gateway::start(Backend::Sqlite, &[("RUST_LOG", "info")]);
    for malformed in [
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "GET /\u{0} HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /api/v1/send-otp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n",
    ] {
        let answer = exchange(&gateway.url, malformed.as_bytes());
        must_be_refused(&answer, 400, "invalid_request");
    }
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(140_000));
    must_be_refused(&exchange(&gateway.url, large.as_bytes()), 431, "headers_too_large");
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(100));
    must_be_refused(&exchange(&gateway.url, many.as_bytes()), 431, "headers_too_large");
    let late = exchange(&gateway.url, b"GET / HTTP/1.1\r\nHost: x\r\n");
    must_be_refused(&late, 408, "request_timeout");
    assert_eq!(gateway.metric("nexo_http_parse_errors_total").await, 9.0);
    assert_eq!(exchange(&gateway.metrics, b"nonsense\r\n\r\n").status, 400);
    assert_eq!(gateway.metric("nexo_http_parse_errors_total").await, 10.0);
    assert_eq!(warnings(&gateway), Vec::<String>::new());
}

#[actix_web::test]
async fn a_flood_of_refused_requests_writes_few_log_lines() {
    let sip = free_ports(2);
    let listen = format!("127.0.0.1:{sip}");
    let settings = [("RUST_LOG", "info"), ("NEXO_SIP__LISTEN_UDP", listen.as_str())];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let key = gateway.customer("a@example.com", "1.00").key;
    let before = warnings(&gateway).len();

    for _ in 0..FLOOD {
        assert_eq!(exchange(&gateway.url, b"x\r\n\r\n").status, 400);
        assert_eq!(exchange(&gateway.metrics, b"x\r\n\r\n").status, 400);
    }
    let parse_errors = gateway.metric("nexo_http_parse_errors_total").await;
    assert_eq!(parse_errors, 2.0 * FLOOD as f64);

    let unknown = vec![format!("Authorization: Bearer {}", other_key(&key))];
    for _ in 0..FLOOD {
        assert_eq!(request(&gateway.url, "GET", "/api/v1/balance", &unknown).status, 401);
        assert_eq!(request(&gateway.metrics, "PUT", "/metrics", &[]).status, 405);
        assert_eq!(request(&gateway.url, "POST", "/auth/sign-in", &[]).status, 400);
    }
    let unsigned = "POST /api/v1/bank-notifications HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    let broken = "POST /api/v1/send-otp HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    for _ in 0..SLOW_FLOOD {
        exchange(&gateway.url, unsigned.as_bytes());
        exchange(&gateway.url, broken.as_bytes());
    }
    let mut stranger = Visitor::of(&gateway);
    for _ in 0..SLOW_FLOOD {
        let seen = stranger.sign_in("a@example.com", "wrong password").await;
        assert!([400, 401, 403, 422, 429].contains(&seen.status), "{}", seen.status);
    }

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let invite = "INVITE sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nFrom: <sip:x@x>;tag=1\r\nTo: <sip:y@y>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    for datagram in [&b"\x00\xff"[..], b"SIP/2.0 200 OK\r\n\r\n", invite.as_bytes()] {
        for _ in 0..FLOOD {
            socket.send_to(datagram, &listen).unwrap();
        }
    }
    let dropped = until("the SIP port drops datagrams", Duration::from_secs(20), async || {
        let dropped = gateway.metric("nexo_sip_dropped_total").await;
        (dropped > 0.0).then_some(dropped)
    });
    dropped.await;

    let lines = warnings(&gateway);
    assert!(lines.len() - before <= MAX_LINES, "{}: {lines:#?}", lines.len());
}

/// A key with a valid checksum that no account has.
fn other_key(key: &str) -> String {
    let other = Gateway::start(Backend::Sqlite, &[]);
    let other = other.customer("b@example.com", "0").key;
    assert_ne!(other, key);
    other
}
