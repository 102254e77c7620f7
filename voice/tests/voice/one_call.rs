//! The engine against the sandbox carrier: real SIP and RTP over loopback, with a listener at the far end
//! that does not know the code. All calls of a test run at once, since each takes as long as the reading of
//! its code.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use nexo_domain::call::{CallEnd, CallLimits, Refusal};
use nexo_domain::otp::{Code, Language, Reading};
use nexo_voice::audio::g711::Codec;
use nexo_voice::endpoint::{
    CallEvent, CallLabels, CallOrder, CallReport, CallerId, Endpoint, EndpointConfig,
};
use nexo_voice::sandbox::{CallRecord, Sandbox, SandboxConfig, SandboxEvent};
use nexo_voice::speech::prompts::PromptSet;
use tokio::sync::broadcast::Receiver;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Far longer than any step takes on a busy machine; only a failure reaches it.
const TIMEOUT: Duration = Duration::from_secs(60);
const CODE: &str = "482917";

async fn endpoint(sandboxes: &[&Sandbox]) -> Endpoint {
    let config =
        EndpointConfig { listen_udp: (Ipv4Addr::LOCALHOST, 0).into(), ..EndpointConfig::default() };
    let endpoint = Endpoint::start(config, PromptSet::built_in()).await.unwrap();
    endpoint.set_peers(sandboxes.iter().map(|s| s.local_addr().into()).collect());
    endpoint
}

fn config() -> SandboxConfig {
    let mut config = SandboxConfig::new((Ipv4Addr::LOCALHOST, 0).into());
    config.ring = Duration::from_millis(100);
    config
}

fn order(sandbox: &Sandbox, call_id: &str, number: &str) -> CallOrder {
    CallOrder {
        call_id: call_id.into(),
        labels: CallLabels { carrier: "viettel", realm: "live" },
        gateway: sandbox.local_addr().into(),
        gateway_host: sandbox.local_addr().to_string(),
        number: number.into(),
        caller: CallerId::from_number("+842471234567"),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        code: Code::parse(CODE).unwrap(),
        reading: Reading { language: Language::Vi, repeat: 2, digit_gap_ms: 350 },
        gateway_timeout: Duration::from_secs(2),
        limits: CallLimits {
            ring_timeout: Duration::from_secs(1),
            require_keypress: false,
            max_call: Duration::from_secs(57),
        },
        wants_all_events: true,
        credentials: None,
        srtp: false,
        media_timeout: Duration::ZERO,
        trace: None,
        permit: None,
    }
}

async fn report(endpoint: &Endpoint, order: CallOrder) -> CallReport {
    let mut events = endpoint.place(order);
    loop {
        let event = timeout(TIMEOUT, events.next()).await;
        let event = event.expect("the call ends in time").expect("a final event");
        if let CallEvent::Ended(report) = event {
            return *report;
        }
    }
}

/// The digits reported while the call was in progress, and the call's record.
async fn digits_and_record(
    events: &mut Receiver<SandboxEvent>,
    call_id: &str,
) -> (String, Arc<CallRecord>) {
    let mut live = String::new();
    loop {
        let event = timeout(TIMEOUT, events.recv()).await;
        let event = event.expect("the call is finished in time").unwrap();
        if **event.call_id() != *call_id {
            continue;
        }
        match event {
            SandboxEvent::DigitHeard { digit, .. } => live.push(char::from(b'0' + digit)),
            SandboxEvent::Finished { record, .. } => return (live, record),
            _ => {}
        }
    }
}

/// One call over one path. Returns the caller's report, the live digits and the callee's record.
async fn call_over(
    config: SandboxConfig,
    number: &str,
    language: Language,
    codecs: &[Codec],
) -> (CallReport, String, Arc<CallRecord>) {
    let sandbox = Sandbox::start(config).await.unwrap();
    let endpoint = endpoint(&[&sandbox]).await;
    let mut events = sandbox.subscribe();
    let mut order = order(&sandbox, "call", number);
    order.reading.language = language;
    order.codecs = codecs.to_vec();
    let report = report(&endpoint, order).await;
    let (live, record) = digits_and_record(&mut events, "call").await;
    endpoint.shutdown(TIMEOUT).await;
    sandbox.shutdown().await;
    (report, live, record)
}

#[tokio::test]
async fn the_far_end_hears_the_code_in_both_languages_and_codecs() {
    use {Codec::Pcma, Codec::Pcmu, Language::En, Language::Vi};
    let mut calls = JoinSet::new();
    for (number, language, codecs) in [
        ("+84981234567", Vi, [Pcma, Pcmu]),
        ("84981234567", Vi, [Pcmu, Pcma]),
        ("0981234567", En, [Pcma, Pcmu]),
        ("+84981234599", En, [Pcmu, Pcma]),
    ] {
        calls.spawn(async move {
            let (report, live, record) = call_over(config(), number, language, &codecs).await;
            let context = format!("{number} {language:?} {codecs:?}");
            assert_eq!(report.end, CallEnd::Delivered, "{context}");
            assert_eq!(report.codec, Some(codecs[0]), "{context}");
            assert_eq!(record.digits_heard, CODE, "{context}");
            assert_eq!(live, CODE.repeat(2), "{context}");
            assert_eq!(report.fraction_lost, Some(0), "{context}");
            assert!(report.packets_received > 100, "{context}: {report:?}");
            let seconds = record.samples.len() as u64 / 8000;
            assert!(seconds.abs_diff(record.talk_time.as_secs()) <= 1, "{record:?}");
        });
    }
    while let Some(outcome) = calls.join_next().await {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn the_code_is_heard_over_a_fair_path_and_not_over_a_bad_one() {
    let path =
        |loss_percent, jitter_ms| SandboxConfig { loss_percent, jitter_ms, seed: 7, ..config() };
    let mut calls = JoinSet::new();
    for (config, is_heard) in
        [(path(80, 0), false), (path(0, 2000), false), (path(100, 0), false), (path(0, 60), true)]
    {
        calls.spawn(async move {
            let context = format!("{config:?}");
            let codecs = [Codec::Pcma];
            let (report, _, record) = call_over(config, "0981234567", Language::Vi, &codecs).await;
            assert_eq!(report.end, CallEnd::Delivered, "{context}");
            assert_eq!(record.digits_heard == CODE, is_heard, "{context}");
            if context.contains("loss_percent: 80") {
                let lost = report.fraction_lost.unwrap();
                assert!((150..250).contains(&lost), "{lost} of 256");
            }
        });
    }
    while let Some(outcome) = calls.join_next().await {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn every_sandbox_number_ends_a_call_in_its_own_way() {
    let sandbox = Arc::new(Sandbox::start(config()).await.unwrap());
    let endpoint = endpoint(&[&sandbox]).await;
    let refused = |code, retry_after_seconds| {
        CallEnd::NotAccepted(Refusal::Rejected { code, retry_after_seconds })
    };
    let rejected = |code, after_ringing| CallEnd::Rejected { code, after_ringing };
    let mut calls = JoinSet::new();
    for (last_two, end) in [
        (90, rejected(486, false)),
        (91, CallEnd::NoAnswer),
        (92, rejected(603, true)),
        (93, rejected(404, false)),
        (94, rejected(480, false)),
        (95, refused(503, None)),
        (96, refused(503, Some(17))),
        (97, CallEnd::NotAccepted(Refusal::Silent)),
        (98, CallEnd::PartialPlayback),
    ] {
        let (sandbox, endpoint) = (Arc::clone(&sandbox), endpoint.clone());
        calls.spawn(async move {
            let mut events = sandbox.subscribe();
            let number = format!("+849812345{last_two}");
            let report = report(&endpoint, order(&sandbox, &number, &number)).await;
            assert_eq!(report.end, end, "{last_two}");
            let (_, record) = digits_and_record(&mut events, &number).await;
            assert_eq!(record.phone.to_string(), number);
            assert_eq!(record.answered, last_two == 98, "{last_two}");
        });
    }
    while let Some(outcome) = calls.join_next().await {
        outcome.unwrap();
    }
}
