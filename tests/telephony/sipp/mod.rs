//! Calls to SIPp, an independent SIP implementation. Each kind of call ends in the state that the contract
//! defines, with a correct wallet and with every SIP message as SIPp's scenario expects.

mod authorization;
mod descriptions;
mod far_end;
mod gateways;
mod media;
mod names;
mod noise;
mod torture;
#[path = "../../../voice/tests/voice/torture/variants.rs"]
mod variants;
mod wire;

use far_end::{FarEnd, free_port};
use harness::ports::free_ports;
use harness::{Answer, Backend, Customer, Gateway, cases, per_database, phone};
use noise::Noise;
use serde_json::Value;
use std::net::UdpSocket;

/// Reads the code once, so that a call takes a few seconds.
const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");
const SHORT_RING: (&str, &str) = ("NEXO_CALLS__RING_TIMEOUT_SECONDS", "5");
const PRICE: f64 = 0.022;
const CASH: f64 = 10.0;

/// One carrier whose gateways have these ports, in order of priority.
fn carriers(ports: &[u16], more: &str) -> String {
    let gateways: Vec<String> = ports
        .iter()
        .enumerate()
        .map(|(n, port)| {
            format!(r#"{{name="gw{n}",uri="sip:127.0.0.1:{port}",priority={}{more}}}"#, n + 1)
        })
        .collect();
    format!(
        r#"[{{name="viettel",channels=500,calls_per_second=500,gateways=[{}]}}]"#,
        gateways.join(",")
    )
}

fn start(backend: Backend, ports: &[u16], settings: &[(&str, &str)]) -> Gateway {
    let carriers = carriers(ports, ",options_ping_seconds=0");
    let mut all = vec![("NEXO_CARRIERS", carriers.as_str()), QUICK];
    all.extend_from_slice(settings);
    Gateway::start(backend, &all)
}

/// The expected final state of an accepted call.
struct End {
    status: &'static str,
    error_code: Option<&'static str>,
    carrier_status: &'static str,
    is_kept: bool,
}

const fn kept(error_code: &'static str, carrier_status: &'static str) -> End {
    End { status: "failed", error_code: Some(error_code), carrier_status, is_kept: true }
}

const fn refunded(error_code: &'static str, carrier_status: &'static str) -> End {
    End { is_kept: false, ..kept(error_code, carrier_status) }
}

const DELIVERED: End =
    End { status: "delivered", error_code: None, carrier_status: "success", is_kept: true };

fn assert_end(answer: &Answer, end: &End) {
    assert_eq!(answer.json["status"], end.status, "{}", answer.text);
    let error_code = end.error_code.map_or(Value::Null, Value::from);
    assert_eq!(answer.json["error_code"], error_code, "{}", answer.text);
    assert_eq!(answer.json["carrier_status"], end.carrier_status, "{}", answer.text);
}

/// Places one call to a gateway that runs `scenario`, and asserts that it is accepted and ends as `end`.
async fn call(
    backend: Backend,
    scenario: &'static str,
    answer: &[&str],
    settings: &[(&str, &str)],
    end: End,
) {
    let far_end = FarEnd::start(scenario, 1, answer, &[]);
    let gateway = start(backend, &[far_end.port], settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(1), "482917").await;
    assert_eq!(sent.status, 202, "{scenario}: {}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, &end);
    assert_total(&customer, if end.is_kept { CASH - PRICE } else { CASH }).await;
    far_end.assert_passed();
    gateway.audit();
}

async fn assert_total(customer: &Customer, total: f64) {
    let (cash, sum) = customer.balance().await;
    assert_eq!((cash, sum), (format!("{total:.3}"), format!("{total:.3}")));
}

/// Places one call that the only gateway refuses, and asserts the status and the refund.
async fn refused(backend: Backend, scenario: &'static str, answer: &[&str], status: u16) -> Answer {
    let far_end = FarEnd::start(scenario, 1, answer, &[]);
    let gateway = start(backend, &[far_end.port], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    let to = phone(2);
    let sent = customer.send(&to, "482917").await;
    assert_eq!((sent.status, sent.error()), (status, "no_route"), "{}", sent.text);
    let id = sent.json["id"].as_str().unwrap();
    let delivery = customer.get(&format!("deliveries/{id}")).await;
    assert_eq!(delivery.json["status"], "failed");
    assert_eq!(delivery.json["error_code"], "no_route");
    assert_total(&customer, CASH).await;
    far_end.assert_passed();
    // The window was released because the phone did not ring, so only the gateway can fail this call.
    assert_ne!(customer.send(&to, "482917").await.error(), "rate_limited");
    gateway.audit();
    sent
}

macro_rules! calls {
    ($($name:ident: $scenario:literal $answer:expr, $settings:expr => $end:expr;)*) => {$(
        #[per_database]
        async fn $name(backend: Backend) {
            call(backend, $scenario, &$answer, &$settings, $end).await;
        }
    )*};
}

calls! {
    an_answered_call_is_read_to_and_hung_up: "answer" [], [] => DELIVERED;
    a_phone_that_hangs_up_in_the_middle_got_a_part: "hang-up" [], [] => kept("partial_playback", "hangup");
    busy: "refuse-after-trying" ["486", "Busy Here"], [] => kept("busy", "busy");
    busy_everywhere: "refuse-after-trying" ["600", "Busy"], []
        => kept("busy", "busy");
    declined: "refuse-after-ringing" ["603", "Decline"], []
        => kept("declined", "declined");
    forbidden: "refuse-after-trying" ["403", "Forbidden"], []
        => kept("declined", "declined");
    unwanted: "refuse-after-ringing" ["607", "Unwanted"], []
        => kept("declined", "declined");
    a_number_that_is_none: "refuse-after-trying" ["404", "Not Found"], []
        => refunded("invalid_number", "invalid_number");
    switched_off: "refuse-after-trying"
        ["480", "Temporarily Unavailable"], []
        => refunded("unreachable", "unreachable");
    unavailable_after_ringing: "refuse-after-ringing"
        ["480", "Temporarily Unavailable"], []
        => kept("no_answer", "no_answer");
    timed_out_after_ringing: "refuse-after-ringing"
        ["408", "Request Timeout"], []
        => kept("no_answer", "no_answer");
    broken_after_trying: "refuse-after-trying"
        ["500", "Server Internal Error"], []
        => refunded("carrier_error", "500");
    refused_after_an_announcement: "refuse-after-early-media"
        ["486", "Busy Here"], []
        => kept("busy", "busy");
    ringing_that_nobody_answers_is_cancelled: "ring-on" [], [SHORT_RING]
        => kept("no_answer", "no_answer");
    an_answer_that_crosses_the_cancel_is_hung_up: "late-answer" [], [SHORT_RING]
        => kept("no_answer", "no_answer");
    the_second_of_two_answers_is_hung_up: "forked" [], [] => DELIVERED;
    a_tune_before_the_answer_is_no_answer: "early-media" [], [] => DELIVERED;
    provisional_answers_are_acknowledged_where_they_want_it: "reliable" [], [] => DELIVERED;
    a_call_that_is_held_and_taken_back_is_read_to_its_end: "hold" [], [] => DELIVERED;
    a_session_is_refreshed_in_mid_call: "update" [], [] => DELIVERED;
    a_session_that_is_too_short_is_lengthened: "lengthen" [], [] => DELIVERED;
    a_bye_before_the_answer_ends_nothing: "early-bye" [], [] => DELIVERED;
    answers_to_what_was_never_asked_change_nothing: "strays" [], [] => DELIVERED;
}

#[per_database]
async fn congestion_at_once_is_no_route(backend: Backend) {
    let answer = ["503", "Service Unavailable"];
    refused(backend, "refuse", &answer, 502).await;
}

#[per_database]
async fn a_carriers_retry_after_is_passed_to_the_customer(backend: Backend) {
    let throttled = refused(backend, "throttle", &[], 429).await;
    assert_eq!(throttled.json["retry_after_seconds"], 17);
    assert_eq!(throttled.header("retry-after"), Some("17"));
}

#[per_database]
async fn silence_is_no_route(backend: Backend) {
    refused(backend, "silent", &[], 502).await;
}

#[per_database]
async fn a_redirection_is_a_rejection(backend: Backend) {
    refused(backend, "redirect", &[], 502).await;
}

/// The first gateway runs `first`, the second answers.
async fn fails_over(backend: Backend, first: &'static str, answer: &[&str]) {
    let (one, two) = (FarEnd::start(first, 1, answer, &[]), FarEnd::start("answer", 1, &[], &[]));
    let gateway = start(backend, &[one.port, two.port], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(3), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, &DELIVERED);
    assert_total(&customer, CASH - PRICE).await;
    one.assert_passed();
    two.assert_passed();
    gateway.audit();
}

#[per_database]
async fn a_broken_gateway_is_skipped(backend: Backend) {
    let answer = ["500", "Server Internal Error"];
    fails_over(backend, "refuse", &answer).await;
}

#[per_database]
async fn a_gateway_that_rings_too_late_is_cancelled_while_the_next_delivers(backend: Backend) {
    fails_over(backend, "late-ringing", &[]).await;
}

#[per_database]
async fn a_refusal_by_the_number_does_not_fail_over(backend: Backend) {
    for scenario in ["refuse", "refuse-after-trying"] {
        let one = FarEnd::start(scenario, 1, &["486", "Busy Here"], &[]);
        let two = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        two.set_nonblocking(true).unwrap();
        let gateway = start(backend, &[one.port, two.local_addr().unwrap().port()], &[]);
        let customer = gateway.customer("a@example.com", "10.00");
        let sent = customer.send(&phone(4), "482917").await;
        match scenario {
            // The call was not accepted before the 486.
            "refuse" => assert_eq!((sent.status, sent.error()), (502, "no_route")),
            _ => {
                let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
                assert_end(&ended, &kept("busy", "busy"));
            }
        }
        one.assert_passed();
        let received = two.recv(&mut [0; 2000]).is_ok();
        assert!(!received, "the second gateway received a request");
    }
}

/// Many calls to a far end that loses messages: each is delivered and charged.
async fn calls_over_a_bad_network(
    backend: Backend,
    scenario: &'static str,
    calls: u32,
    lost: &[&str],
) {
    let far_end = FarEnd::start(scenario, calls, &[], lost);
    let timeout = [("NEXO_CALLS__GATEWAY_TIMEOUT_MS", "4000")];
    let gateway = start(backend, &[far_end.port], &timeout);
    let customer = gateway.customer("a@example.com", "10.00");
    let mut deliveries = tokio::task::JoinSet::new();
    for n in 0..calls {
        let (customer, to) = (customer.clone(), phone(n));
        deliveries.spawn(async move {
            let sent = customer.send(&to, "4829").await;
            assert_eq!(sent.status, 202, "{}", sent.text);
            let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
            assert_end(&ended, &DELIVERED);
        });
    }
    while let Some(delivered) = deliveries.join_next().await {
        delivered.unwrap();
    }
    assert_total(&customer, CASH - f64::from(calls) * PRICE).await;
    gateway.audit();
}

#[per_database]
async fn a_lost_ack_is_sent_again(backend: Backend) {
    calls_over_a_bad_network(backend, "lost-ack", 12, &[]).await;
}

#[per_database]
async fn five_percent_message_loss_loses_no_call_and_no_money(backend: Backend) {
    calls_over_a_bad_network(backend, "answer", 60, &["-lost", "5"]).await;
}

cases! {
    odd_lines_in_every_message_change_nothing:
    in_a_call_that_we_hang_up("answer", DELIVERED);
    in_a_call_that_the_far_end_hangs_up("hang-up", kept("partial_playback", "hangup"));
}

/// The metric counts them. With the line dropped instead, the 200 was never acknowledged and the BYE never answered.
async fn odd_lines_in_every_message_change_nothing(scenario: &'static str, end: End) {
    let odd =
        "no colon\n      X Carrier: 1\n      : 2\n      \u{110}\u{1ea7}u: 3\n      [last_Call-ID:]";
    let far_end = FarEnd::edited(scenario, 1, &[("[last_Call-ID:]", odd)], &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(1), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_end(&customer.terminal(sent.json["id"].as_str().unwrap()).await, &end);
    far_end.assert_passed();
    let odd_lines = gateway.metric("nexo_sip_odd_lines_total").await;
    assert!(odd_lines >= 12.0, "{odd_lines}");
    assert_eq!(gateway.metric("nexo_sip_dropped_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_read_over_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        // Skipped on a machine without IPv6.
        return;
    }
    let far_end = FarEnd::start("answer", 1, &[], &["-i", "::1", "-mi", "::1"]);
    let carriers = carriers(&[far_end.port], "").replace("127.0.0.1", "[::1]");
    let settings =
        [("NEXO_CARRIERS", carriers.as_str()), ("NEXO_SIP__LISTEN_UDP", "[::1]:0"), QUICK];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(7), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, &DELIVERED);
    assert!(gateway.metric("nexo_rtp_packets_sent_total").await > 50.0);
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_sip_and_in_rtp_changes_nothing() {
    let far_end = FarEnd::start("answer", 1, &[], &[]);
    let carriers = carriers(&[far_end.port], ",options_ping_seconds=0");
    let (sip, rtp) = (free_port(), free_ports(4));
    let (listen, range) = (format!("127.0.0.1:{sip}"), format!("{rtp}-{}", rtp + 3));
    let settings = [
        ("NEXO_CARRIERS", carriers.as_str()),
        ("NEXO_SIP__LISTEN_UDP", &listen),
        ("NEXO_SIP__RTP_PORTS", &range),
        QUICK,
    ];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let noise = Noise::start(vec![sip, rtp, rtp + 1, rtp + 2, rtp + 3]);
    let sent = customer.send(&phone(8), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    drop(noise);
    assert_end(&ended, &DELIVERED);
    assert_total(&customer, CASH - PRICE).await;
    far_end.assert_passed();
    assert!(gateway.metric("nexo_sip_dropped_total").await > 100.0);
    assert!(gateway.metric("nexo_rtp_packets_dropped_total").await > 100.0);
    assert_eq!(gateway.metric("nexo_actor_restarts_total").await, 0.0);
    gateway.audit();
}
