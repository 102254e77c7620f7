//! Tests of traces, which the gateway sends to an OpenTelemetry collector, and of the JSON log format.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::{Backend, Gateway, Receiver, phone, until};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A trace collector that speaks OTLP over HTTP.
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Collector {
            address: listener.local_addr().unwrap(),
            spans: Arc::default(),
            bodies: Arc::default(),
        };
        let (spans, bodies) = (Arc::clone(&collector.spans), Arc::clone(&collector.bodies));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (spans, bodies) = (Arc::clone(&spans), Arc::clone(&bodies));
                std::thread::spawn(move || {
                    while let Some(body) = read_post(&stream) {
                        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
                        let scopes = request.resource_spans.into_iter().flat_map(|r| r.scope_spans);
                        spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
                        bodies.lock().unwrap().push(body);
                    }
                });
            }
        });
        collector
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn named(&self, name: &str) -> Vec<Span> {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|span| span.name == name).cloned().collect()
    }

    /// Whether any received request contains this text.
    fn contains(&self, text: &str) -> bool {
        let bodies = self.bodies.lock().unwrap();
        bodies.iter().any(|body| body.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

/// Reads one POST and answers it. `None` at the connection's end.
fn read_post(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    assert!(line.starts_with("POST /v1/traces "), "{line}");
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap();
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    Some(body)
}

fn text(span: &Span, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Attribute::StringValue(text) => Some(text.clone()),
        Attribute::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn settings(collector: &Collector, ratio: &'static str) -> Vec<(&'static str, String)> {
    vec![
        ("NEXO_TRACES__OTLP_ENDPOINT", collector.url()),
        ("NEXO_TRACES__SAMPLE_RATIO", ratio.to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
        ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true".to_owned()),
        ("NEXO_WEBHOOKS__ALLOW_HTTP", "true".to_owned()),
    ]
}

fn start(settings: &[(&'static str, String)]) -> Gateway {
    let settings: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
    Gateway::start(Backend::Sqlite, &settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_otp_is_a_single_trace_from_the_request_to_the_bye_and_the_webhook() {
    let (collector, receiver) = (Collector::start(), Receiver::start());
    let gateway = start(&settings(&collector, "1"));
    let customer = gateway.customer("a@example.com", "10.00");
    gateway.add_webhook("a@example.com", &receiver.url());
    // Answered, and hung up after a second.
    let (number, code) = (phone(98), "48291764");
    let request = customer
        .http
        .post(format!("{}/send-otp", customer.api))
        .bearer_auth(&customer.key)
        .header("X-Request-Id", "my-request-17")
        .body(format!(r#"{{"phone":"{number}","code":"{code}"}}"#));
    let accepted = harness::answer(request).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let delivery = accepted.json["id"].as_str().unwrap().to_owned();
    assert_eq!(receiver.next().json()["id"], delivery.as_str());
    let webhook =
        until("the webhook's span", TIMEOUT, async || collector.named("webhook").pop()).await;
    let otp = until("the OTP's span", TIMEOUT, async || collector.named("otp").pop()).await;
    let trace = &otp.trace_id;
    let of_trace = |name: &str| -> Span {
        let spans = collector.named(name);
        let mut ours = spans.into_iter().filter(|span| &span.trace_id == trace);
        ours.next().unwrap_or_else(|| panic!("no {name} in the trace"))
    };
    let request = of_trace("request");
    assert!(request.parent_span_id.is_empty());
    assert_eq!(text(&request, "id").as_deref(), Some("my-request-17"));
    assert_eq!(otp.parent_span_id, request.span_id);
    assert_eq!(text(&otp, "delivery").as_deref(), Some(delivery.as_str()));
    assert_eq!(text(&otp, "outcome").as_deref(), Some("partial_playback"));
    let masked = format!("{}***{}", &number[..5], &number[8..]);
    assert_eq!(text(&otp, "phone"), Some(masked));
    for name in ["debit", "call", "settle"] {
        assert_eq!(of_trace(name).parent_span_id, otp.span_id, "{name}");
    }
    let call = of_trace("call");
    assert_eq!(text(&call, "sip_code").as_deref(), Some("200"));
    assert_eq!(text(&call, "end").as_deref(), Some("partial_playback"));
    let answered: i64 = text(&call, "answered_ms").unwrap().parse().unwrap();
    let lasted = (call.end_time_unix_nano - call.start_time_unix_nano) / 1_000_000;
    assert!(answered > 0 && lasted as i64 >= answered + 900, "{answered} of {lasted} ms");
    assert!(otp.end_time_unix_nano >= call.end_time_unix_nano);
    assert_eq!(&webhook.trace_id, trace);
    assert_eq!(webhook.parent_span_id, otp.span_id);
    assert_eq!(text(&webhook, "status").as_deref(), Some("200"));
    for secret in [number.as_str(), code, customer.key.as_str()] {
        assert!(!collector.contains(secret), "a span contains {secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_sent_after_a_restart_is_part_of_its_otps_trace() {
    let (collector, receiver) = (Collector::start(), Receiver::start());
    let mut settings = settings(&collector, "1");
    settings.push(("NEXO_WEBHOOKS__TIMEOUT_MS", "60000".to_owned()));
    let mut gateway = start(&settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let url = receiver.url();
    gateway.add_webhook("a@example.com", &url);
    // At most 16 webhooks are sent concurrently: the last two wait in the outbox.
    receiver.hold_answers(true);
    for n in 0..18 {
        let sent = customer.send(&format!("+8490{n:05}90"), "4829").await;
        assert_eq!(sent.status, 202, "{}", sent.text);
    }
    until("all OTPs' spans", TIMEOUT, async || (collector.named("otp").len() == 18).then_some(()))
        .await;
    for _ in 0..16 {
        receiver.next();
    }
    receiver.hold_answers(false);
    gateway.kill_and_restart();
    let webhooks = until("the waiting webhooks' spans", TIMEOUT, async || {
        let webhooks = collector.named("webhook");
        (webhooks.len() == 2).then_some(webhooks)
    })
    .await;
    let otps = collector.named("otp");
    for webhook in webhooks {
        let delivery = text(&webhook, "delivery");
        let otp = otps.iter().find(|otp| text(otp, "delivery") == delivery);
        let otp = otp.expect("an OTP of that delivery");
        assert_eq!(webhook.trace_id, otp.trace_id);
        assert_eq!(webhook.parent_span_id, otp.span_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unsampled_traces_are_not_sent_and_an_unreachable_collector_delays_no_request() {
    let collector = Collector::start();
    let mut gateway = start(&settings(&collector, "0"));
    let customer = gateway.customer("a@example.com", "10.00");
    assert_eq!(customer.send(&phone(90), "4829").await.status, 202);
    assert_eq!(gateway.terminate(), Some(0));
    assert!(collector.spans.lock().unwrap().is_empty());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut unreachable = settings(&collector, "1");
    unreachable[0].1 = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut gateway = start(&unreachable);
    let customer = gateway.customer("a@example.com", "10.00");
    let started = std::time::Instant::now();
    assert_eq!(customer.send(&phone(90), "4829").await.status, 202);
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(gateway.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_the_json_log_names_its_request_and_delivery() {
    let gateway = Gateway::start(
        Backend::Sqlite,
        &[("NEXO_LOGS__FORMAT", "json"), ("RUST_LOG", "info,nexo_actors=debug")],
    );
    let customer = gateway.customer("a@example.com", "10.00");
    let number = phone(90);
    let accepted = customer.send(&number, "48291764").await;
    let request_id = accepted.header("X-Request-Id").unwrap().to_owned();
    let delivery = accepted.json["id"].as_str().unwrap().to_owned();
    customer.terminal(&delivery).await;
    let log = gateway.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let accepted_lines: Vec<&Value> =
        lines.iter().filter(|line| line["message"] == "accepted").collect();
    assert_eq!(accepted_lines.len(), 1, "{log}");
    let spans = accepted_lines[0]["spans"].as_array().unwrap();
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["request", "otp", "call"]);
    assert_eq!(spans[0]["id"], request_id.as_str());
    assert_eq!(spans[1]["delivery"], delivery.as_str());
    assert!(!log.contains(&number) && !log.contains("48291764"), "{log}");
}
