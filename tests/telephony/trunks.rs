//! Trunk behaviour besides calls: registration, probes, the circuit breaker, and what operators see of
//! them. The far end is a script over a real socket.

use std::time::{Duration, Instant};

use crate::key_injector::KeyInjector;
use harness::ports::free_ports;
use harness::scripted_gateway::{ReceivedRequest, ScriptedGateway, busy};
use harness::{Backend, Gateway, answer, client, nexo_binary, phone, until};

/// The time limit of every wait here.
const SOON: Duration = Duration::from_secs(20);

/// Starts a gateway whose only carrier has these trunks.
fn start(gateways: &[String], settings: &[(&str, &str)]) -> Gateway {
    let carriers = format!(
        r#"[{{name="viettel",caller_ids=["+842471234567"],gateways=[{}]}}]"#,
        gateways.join(",")
    );
    let mut all =
        vec![("NEXO_CARRIERS", carriers.as_str()), ("NEXO_CALLS__GATEWAY_TIMEOUT_MS", "1500")];
    all.extend_from_slice(settings);
    Gateway::start(Backend::Sqlite, &all)
}

async fn readyz(gateway: &Gateway) -> (u16, String) {
    let answer = answer(client().get(format!("{}/readyz", gateway.url))).await;
    (answer.status, answer.text)
}

async fn trunks(gateway: &Gateway) -> serde_json::Value {
    let page = gateway.metrics.replace("/metrics", "/trunks");
    let page = answer(client().get(page)).await.json;
    let carriers = page["carriers"].as_array().unwrap().clone();
    let mut viettel = carriers.into_iter().filter(|c| c["carrier"] == "viettel");
    viettel.next().unwrap()["gateways"].clone()
}

const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"sbc\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256\r\n";

fn registrar(request: &ReceivedRequest) -> Vec<(u16, String)> {
    let expires: u32 = request.field("Expires").map_or(0, |e| e.parse().unwrap());
    let answer = match (request.method.as_str(), request.field("Authorization")) {
        ("REGISTER", None) => (401, CHALLENGE.to_owned()),
        ("REGISTER", Some(_)) if expires == 60 => (423, "Min-Expires: 90\r\n".to_owned()),
        // A registrar may grant less than requested.
        ("REGISTER", Some(_)) if expires > 0 => {
            let contact = request.field("Contact").unwrap();
            (200, format!("Contact: {contact};expires=2\r\n"))
        }
        _ => (200, String::new()),
    };
    vec![answer]
}

#[tokio::test]
async fn a_registration_is_authorized_lengthened_renewed_and_ended() {
    let far_end = ScriptedGateway::start(registrar);
    let more = r#"username="nexo",password="s3cret",register=true,register_expires_seconds=60"#;
    let mut gateway = start(&[far_end.inline_table("hn1", 1, more)], &[]);
    // Unauthorized, too brief, granted, and at least two renewals.
    let requests = far_end.wait_for_requests("REGISTER", 5).await;
    assert!(requests[0].field("Authorization").is_none());
    let authorized = requests[1].field("Authorization").unwrap();
    assert!(authorized.contains("username=\"nexo\""), "{authorized}");
    assert!(authorized.contains("algorithm=SHA-256"), "{authorized}");
    assert!(requests.iter().all(|request| !request.text.contains("s3cret")));
    let expires: Vec<_> = requests.iter().map(|request| request.field("Expires")).collect();
    assert_eq!(
        expires,
        [60, 60, 90, 90, 90].map(|e| e.to_string()).each_ref().map(|e| Some(e.as_str()))
    );
    let call_ids: Vec<_> = requests.iter().map(|request| request.field("Call-ID")).collect();
    assert!(call_ids.iter().all(|id| *id == call_ids[0]), "{call_ids:?}");
    let numbers: Vec<u32> = requests
        .iter()
        .map(|request| request.field("CSeq").unwrap().split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let renewed_after = requests[4].at - requests[3].at;
    assert!(renewed_after > Duration::from_millis(1400), "{renewed_after:?}");
    let registered = until("registered", SOON, async || {
        let trunks = trunks(&gateway).await;
        (trunks[0]["registered"] == true).then_some(trunks)
    });
    assert_eq!(registered.await[0]["gateway"], "hn1");
    assert_eq!(gateway.metric("nexo_gateway_registered").await, 1.0);
    assert_eq!(gateway.terminate(), Some(0));
    let unregister = far_end.requests("REGISTER").pop().unwrap();
    assert_eq!(unregister.field("Expires"), Some("0"), "{}", unregister.text);
}

/// Challenges every request with MD5, at the top and after a stronger challenge of another realm.
fn md5_only(request: &ReceivedRequest) -> Vec<(u16, String)> {
    let challenge = "WWW-Authenticate: Digest realm=\"other\", nonce=\"n1\", algorithm=SHA-256, Digest \
                     realm=\"sbc\", nonce=\"n1\", qop=\"auth\"\r\n";
    match request.method.as_str() {
        "ACK" => vec![],
        _ => vec![(401, challenge.to_owned())],
    }
}

#[tokio::test]
async fn a_call_fails_over_from_a_gateway_whose_digest_is_too_weak() {
    let (weak, other) = (ScriptedGateway::start(md5_only), ScriptedGateway::start(busy));
    let more =
        r#"username="nexo",password="s3cret",realm="sbc",digest="sha-256",options_ping_seconds=1"#;
    let gateway = start(
        &[
            weak.inline_table("hn1", 1, more),
            other.inline_table("hn2", 2, "options_ping_seconds=0"),
        ],
        &[],
    );
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(1), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_eq!(weak.requests("INVITE").len(), 1);
    assert_eq!(other.requests("INVITE").len(), 1);
    weak.wait_for_requests("OPTIONS", 2).await;
    let why = "challenged (401) with the digest algorithm md5, but `digest` requires sha-256";
    until("the reason", SOON, async || {
        let trunk = &trunks(&gateway).await[0];
        let what = trunk["last_failure"]["what"].as_str()?;
        (what.ends_with(why) && trunk["reachable"] == true).then_some(())
    })
    .await;
    for method in ["INVITE", "OPTIONS"] {
        for request in weak.requests(method) {
            assert_eq!(request.field("Authorization"), None, "{}", request.text);
        }
    }
    let id = sent.json["id"].as_str().unwrap();
    customer.terminal(id).await;
    gateway.audit();
}

#[tokio::test]
async fn a_gateway_that_goes_down_is_skipped_until_a_probe_succeeds() {
    let (first, second) = (ScriptedGateway::start(busy), ScriptedGateway::start(busy));
    let probed = "options_ping_seconds=1";
    let gateway = start(
        &[
            first.inline_table("hn1", 1, probed),
            second.inline_table("hn2", 2, "options_ping_seconds=0"),
        ],
        &[],
    );
    let customer = gateway.customer("a@example.com", "10.00");
    first.wait_for_requests("OPTIONS", 1).await;
    assert_eq!(customer.send(&phone(1), "482917").await.status, 202);
    assert_eq!(first.requests("INVITE").len(), 1);
    first.set_silent(true);
    until("hn1 is down", SOON, async || {
        (trunks(&gateway).await[0]["reachable"] == false).then_some(())
    })
    .await;
    let down = trunks(&gateway).await;
    assert_eq!(down[0]["last_failure"]["what"], "no answer to a probe");
    assert_eq!(down[1]["reachable"], true);
    assert_eq!(gateway.metric("nexo_gateway_up").await, 1.0);
    assert_eq!(readyz(&gateway).await.0, 200, "the carrier has another gateway");
    let before = first.requests("INVITE").len();
    let started = Instant::now();
    assert_eq!(customer.send(&phone(2), "482917").await.status, 202);
    assert!(started.elapsed() < Duration::from_millis(1_400), "no timeout elapsed");
    assert_eq!(first.requests("INVITE").len(), before);
    first.set_silent(false);
    until("hn1 is back", SOON, async || {
        (trunks(&gateway).await[0]["reachable"] == true).then_some(())
    })
    .await;
    assert_eq!(customer.send(&phone(3), "482917").await.status, 202);
    assert_eq!(first.requests("INVITE").len(), before + 1);
    let round_trip = trunks(&gateway).await[0]["round_trip_ms"].as_f64().unwrap();
    assert!(round_trip > 0.0 && round_trip < 1000.0);
}

#[tokio::test]
async fn a_carrier_without_an_answering_gateway_is_not_ready() {
    let far_end = ScriptedGateway::start(busy);
    far_end.set_silent(true);
    let gateway = start(&[far_end.inline_table("hn1", 1, "options_ping_seconds=1")], &[]);
    let (status, text) = until("not ready", SOON, async || {
        let answer = readyz(&gateway).await;
        (answer.0 == 503).then_some(answer)
    })
    .await;
    assert_eq!(status, 503);
    assert!(text.contains("carrier viettel has no usable gateway: hn1 is down"), "{text}");
    // A successful call marks the gateway as up before the next probe.
    far_end.set_silent(false);
    let customer = gateway.customer("a@example.com", "10.00");
    assert_eq!(customer.send(&phone(1), "482917").await.status, 202);
    assert_eq!(readyz(&gateway).await.0, 200);
}

#[tokio::test]
async fn without_probes_silent_calls_open_the_circuit_and_a_trial_closes_it() {
    let far_end = ScriptedGateway::start(busy);
    far_end.set_silent(true);
    let gateway = start(&[far_end.inline_table("hn1", 1, "options_ping_seconds=0")], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    for n in 1..=3 {
        let sent = customer.send(&phone(n), "482917").await;
        assert_eq!((sent.status, sent.error()), (502, "no_route"));
    }
    far_end.set_silent(false);
    let started = Instant::now();
    let shut = customer.send(&phone(4), "482917").await;
    assert_eq!((shut.status, shut.error()), (502, "no_route"));
    assert!(started.elapsed() < Duration::from_millis(1_400), "no call was placed");
    assert_eq!(far_end.requests("INVITE").len(), 0);
    let (status, _) = readyz(&gateway).await;
    assert_eq!(status, 503);
    until("a trial", SOON, async || {
        let sent = customer.send(&phone(5), "482917").await;
        (sent.status == 202).then_some(())
    })
    .await;
    assert_eq!(readyz(&gateway).await.0, 200);
    assert_eq!(gateway.metric("nexo_internal_errors_total").await, 0.0);
    gateway.audit();
}

/// Waits longer than one gateway's timeout, and shorter than the timeout of all gateways.
fn slow(request: &ReceivedRequest) -> Vec<(u16, String)> {
    if request.method == "INVITE" {
        std::thread::sleep(Duration::from_millis(2_500));
    }
    busy(request)
}

#[tokio::test]
async fn the_only_gateway_may_use_the_whole_dispatch_timeout() {
    let (first, second) = (ScriptedGateway::start(slow), ScriptedGateway::start(busy));
    let quiet = "options_ping_seconds=0";
    let alone = start(&[first.inline_table("hn1", 1, quiet)], &[]);
    let customer = alone.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(1), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_eq!(first.requests("CANCEL").len(), 0);
    let beside =
        start(&[first.inline_table("hn1", 1, quiet), second.inline_table("hn2", 2, quiet)], &[]);
    let customer = beside.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(2), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_eq!(second.requests("INVITE").len(), 1, "the call fails over");
    alone.audit();
    beside.audit();
}

fn throttle(request: &ReceivedRequest) -> Vec<(u16, String)> {
    match request.method.as_str() {
        "INVITE" => vec![(503, "Retry-After: 6\r\n".to_owned())],
        _ => vec![],
    }
}

#[tokio::test]
async fn a_throttling_gateway_is_skipped_until_its_retry_after_ends() {
    let (first, second) = (ScriptedGateway::start(throttle), ScriptedGateway::start(busy));
    let quiet = "options_ping_seconds=0";
    let gateway =
        start(&[first.inline_table("hn1", 1, quiet), second.inline_table("hn2", 2, quiet)], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    let throttled_at = Instant::now();
    assert_eq!(customer.send(&phone(1), "482917").await.status, 202);
    assert_eq!(first.requests("INVITE").len(), 1);
    assert_eq!(customer.send(&phone(2), "482917").await.status, 202);
    assert_eq!(first.requests("INVITE").len(), 1, "the Retry-After applies");
    until("hn1 receives a call again", SOON, async || {
        customer.send(&phone(3), "482917").await;
        (first.requests("INVITE").len() == 2).then_some(())
    })
    .await;
    let again = first.requests("INVITE")[1].at - throttled_at;
    assert!(again > Duration::from_secs(6), "{again:?}");
}

#[tokio::test]
async fn the_only_gateway_is_skipped_after_throttling_twice() {
    let far_end = ScriptedGateway::start(throttle);
    let gateway = start(&[far_end.inline_table("hn1", 1, "options_ping_seconds=0")], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    for n in 1..=3 {
        let sent = customer.send(&phone(n), "482917").await;
        assert_eq!((sent.status, sent.error()), (429, "no_route"), "{}", sent.text);
        let wait = sent.json["retry_after_seconds"].as_u64().unwrap();
        assert!((1..=6).contains(&wait), "{wait}");
    }
    assert_eq!(far_end.requests("INVITE").len(), 2);
    let (_, total) = customer.balance().await;
    assert_eq!(total, "10.000", "everything was refunded");
}

#[tokio::test]
async fn the_caller_identity_follows_the_gateways_settings() {
    let (plain, asserted) = (ScriptedGateway::start(busy), ScriptedGateway::start(busy));
    let quiet = "options_ping_seconds=0";
    let more = format!(
        r#"{quiet},from_user="acme",from_domain="sip.acme.vn",asserted_identity=true,number_format="national""#
    );
    let shown = |request: &ReceivedRequest, name: &str| request.field(name).map(str::to_owned);
    let gateway = start(&[plain.inline_table("hn1", 1, quiet)], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    customer.send("+84981234501", "482917").await;
    let invite = plain.wait_for_requests("INVITE", 1).await.remove(0);
    let from = shown(&invite, "From").unwrap();
    assert!(from.starts_with("<sip:+842471234567@127.0.0.1>;tag="), "{from}");
    assert_eq!(shown(&invite, "P-Asserted-Identity"), None);
    assert_eq!(shown(&invite, "Privacy"), None);
    drop(gateway);

    let private = format!("{more},privacy=true");
    for (settings, from_starts, privacy) in [
        (&more, "<sip:acme@sip.acme.vn>;tag=", None),
        (&private, "<sip:anonymous@anonymous.invalid>;tag=", Some("id")),
    ] {
        let gateway = start(&[asserted.inline_table("hn1", 1, settings)], &[]);
        let customer = gateway.customer("a@example.com", "10.00");
        customer.send("+84981234502", "482917").await;
        until("the call", SOON, async || asserted.requests("INVITE").pop()).await;
        let invite = asserted.requests("INVITE").pop().unwrap();
        assert!(invite.text.starts_with("INVITE sip:0981234502@"), "{}", invite.text);
        let from = shown(&invite, "From").unwrap();
        assert!(from.starts_with(from_starts), "{from}");
        let identity = "<sip:+842471234567@sip.acme.vn>";
        assert_eq!(shown(&invite, "P-Asserted-Identity").as_deref(), Some(identity));
        assert_eq!(shown(&invite, "Privacy").as_deref(), privacy);
    }
}

#[test]
fn the_trunks_command_probes_each_gateway_without_a_running_server() {
    let (up, down) = (ScriptedGateway::start(busy), ScriptedGateway::start(busy));
    down.set_silent(true);
    let carriers = format!(
        r#"[{{name="viettel",gateways=[{},{}]}}]"#,
        up.inline_table("hn1", 1, "options_ping_seconds=0"),
        down.inline_table("hn2", 2, "options_ping_seconds=0")
    );
    let run = |more: &[&str]| {
        let output = std::process::Command::new(nexo_binary())
            .args(more)
            .env("NEXO_CARRIERS", &carriers)
            .env("NEXO_METRICS__LISTEN", "127.0.0.1:1")
            .env("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0")
            .env("NEXO_SIP__RTP_PORTS", "0")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let json: serde_json::Value = serde_json::from_str(&run(&["--json", "trunks"])).unwrap();
    assert_eq!(json["running"], false);
    let viettel = json["carriers"].as_array().unwrap();
    let viettel = viettel.iter().find(|c| c["carrier"] == "viettel").unwrap();
    assert_eq!(viettel["gateways"][0]["reachable"], true);
    assert!(viettel["gateways"][0]["round_trip_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(viettel["gateways"][1]["reachable"], false);
    let ladder = |place: usize| {
        let rungs = viettel["gateways"][place]["ladder"].as_array().unwrap();
        let rungs = rungs.iter().map(|rung| {
            let (direction, message) = (rung["direction"].as_str(), rung["message"].as_str());
            let repeated = rung["repeated"].as_bool().unwrap();
            (direction.unwrap(), message.unwrap().to_owned(), repeated)
        });
        rungs.collect::<Vec<_>>()
    };
    let [sent, (direction, answer, false)] = &ladder(0)[..] else {
        panic!("{json:#}");
    };
    assert_eq!(sent, &("sent", "OPTIONS".to_owned(), false));
    assert_eq!(*direction, "received");
    assert!(answer.ends_with("(OPTIONS)"), "{answer}");
    assert_eq!(
        ladder(1)[..2],
        [("sent", "OPTIONS".to_owned(), false), ("sent", "OPTIONS".to_owned(), true),]
    );
    let text = run(&["trunks"]);
    let line = |name| text.lines().find(|line| line.contains(name)).unwrap();
    assert!(line("hn1").contains("yes"), "{text}");
    assert!(line("hn2").contains("no answer to a probe"), "{text}");
    assert!(text.contains("viettel; hn2: last probe"), "{text}");
    assert!(line("-->").contains("OPTIONS"), "{text}");
}

#[tokio::test]
async fn a_required_keypress_delivers_to_a_person_and_not_to_a_voicemail_box() {
    let recordings = tempfile::tempdir().unwrap();
    let folder = recordings.path().to_str().unwrap();
    let rtp = free_ports(4);
    let range = format!("{rtp}-{}", rtp + 3);
    let settings = [
        ("NEXO_CALLS__REQUIRE_KEYPRESS", "true"),
        ("NEXO_CALLS__REPEAT", "1"),
        ("NEXO_SANDBOX__RECORD_DIR", folder),
        ("NEXO_SIP__RTP_PORTS", &range),
    ];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let voicemail = {
        // A neighbour of the far end presses keys at every port of ours, before the call and during it.
        let _injector = KeyInjector::start(vec![rtp, rtp + 2]);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let voicemail = customer.send(&phone(99), "482917").await;
        customer.terminal(voicemail.json["id"].as_str().unwrap()).await;
        voicemail
    };
    let person = customer.send(&phone(1), "482917").await;
    let ended = customer.terminal(person.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
    let ended = customer.terminal(voicemail.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["error_code"], "partial_playback", "{}", ended.text);
    assert_eq!(ended.json["carrier_status"], "hangup");
    let digits_heard = |answer: &harness::Answer| {
        let id = answer.json["id"].as_str().unwrap();
        let file = recordings.path().join(format!("{id}-1@nexo.json"));
        async move {
            // The far end writes the record after it has recognised the audio.
            let record = until("the record of a call", SOON, async || {
                let text = std::fs::read_to_string(&file).ok()?;
                serde_json::from_str::<serde_json::Value>(&text).ok()
            })
            .await;
            record["digits_heard"].as_str().unwrap().to_owned()
        }
    };
    assert_eq!(digits_heard(&person).await, "482917");
    assert_eq!(digits_heard(&voicemail).await, "");
    gateway.audit();
}
