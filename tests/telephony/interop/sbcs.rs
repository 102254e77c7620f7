//! Kamailio: a carrier's SBC that registers us, asks who we are, and goes down in mid-traffic.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::peers::{
    NUMBER, OTHER_NUMBER, Peer, Phone, SBC_NAME, Sbc, are_answered, deliver, deliver_to,
    is_not_taken, is_registered,
};
use super::peers::{soon, start, trunk};
use harness::cases;
use harness::ports::free_ports;

cases! {
    an_sbc_registers_us_challenges_us_and_hands_our_calls_on:
    by_udp("udp", "482917");
    by_tcp("tcp", "8264");
    by_tls("tls", "51903");
}

async fn an_sbc_registers_us_challenges_us_and_hands_our_calls_on(transport: &str, code: &str) {
    let phone = Phone::start("");
    let sbc = Sbc::start(phone.port);
    let mut gateway = start(&sbc.gateway(transport, ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, code).await;
    gateway.audit();
    assert_eq!(gateway.terminate(), Some(0));
    assert_eq!(phone.heard(), [code]);
}

#[tokio::test]
async fn an_sbc_that_asks_for_sha_256_is_answered_with_it() {
    let phone = Phone::start("");
    let sbc = Sbc::wanting(phone.port, &["WITH_SHA256"]);
    let gateway = start(&sbc.gateway("udp", ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, "482917").await;
    let trunk = trunk(&gateway).await;
    assert_eq!(trunk["last_failure"], serde_json::Value::Null);
    gateway.audit();
    assert_eq!(phone.heard(), ["482917"]);
}

#[tokio::test]
async fn a_nonce_that_has_become_stale_is_replaced_and_nothing_fails() {
    let phone = Phone::start("");
    let sbc = Sbc::wanting(phone.port, &["WITH_SHORT_NONCES"]);
    let gateway = start(&sbc.gateway("udp", ""));
    is_registered(&gateway).await;
    soon("a probe comes with a stale nonce", async || {
        sbc.log().contains("a stale nonce at OPTIONS").then_some(())
    })
    .await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, "482917").await;
    let trunk = trunk(&gateway).await;
    assert_eq!(trunk["last_failure"], serde_json::Value::Null);
    assert_eq!(trunk["reachable"], true);
    assert_eq!(phone.heard(), ["482917"]);
}

#[tokio::test]
async fn a_warm_trunk_needs_one_invite_and_one_bye_a_call_while_the_nonces_count_rises() {
    let phone = Phone::start("");
    let sbc = Sbc::start(phone.port);
    let gateway = start(&sbc.gateway("udp", ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, "482917").await;
    let is_hung_up = async |times| {
        soon("the phone is hung up", async || {
            (sbc.noted("BYE granted") == times).then_some(())
        })
        .await;
    };
    is_hung_up(1).await;
    let challenged = sbc.noted("challenged");
    deliver_to(&customer, OTHER_NUMBER, "7305").await;
    is_hung_up(2).await;
    // Probes go on meanwhile, with the same nonce.
    let log = sbc.log();
    assert_eq!(sbc.noted("INVITE granted"), 2, "{log}");
    assert_eq!(sbc.noted("challenged"), challenged, "{log}");
    assert_eq!(sbc.noted("a stale nonce"), 0, "{log}");
    gateway.audit();
    assert_eq!(phone.heard(), ["482917", "7305"]);
}

#[tokio::test]
async fn an_sbc_that_is_reached_by_its_address_is_asked_for_by_its_name() {
    let phone = Phone::start("");
    let sbc = Sbc::wanting(phone.port, &["WITH_NAMED_CERTIFICATE"]);
    let why = "certificate not valid for name \"127.0.0.1\"";
    is_kept_out(&sbc, &sbc.gateway("tls", ""), why).await;
    let named = format!(r#",tls_name="{SBC_NAME}""#);
    let gateway = start(&sbc.gateway("tls", &named));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, "482917").await;
    assert!(sbc.noted(&format!("INVITE asked of {SBC_NAME}\n")) > 0);
    gateway.audit();
    assert_eq!(phone.heard(), ["482917"]);
}

#[tokio::test]
async fn an_sbc_that_wants_our_certificate_is_shown_it() {
    let phone = Phone::start("");
    let sbc = Sbc::wanting(phone.port, &["WITH_CLIENT_CERTIFICATES"]);
    let shown = format!(
        r#",tls_certificate="{}",tls_key="{}""#,
        sbc.file("client.pem"),
        sbc.file("client.key")
    );
    let gateway = start(&sbc.gateway("tls", &shown));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, "482917").await;
    gateway.audit();
    assert_eq!(phone.heard(), ["482917"]);
}

#[tokio::test]
async fn an_sbc_that_wants_our_certificate_and_is_shown_none_lets_nobody_in() {
    let sbc = Sbc::wanting(9, &["WITH_CLIENT_CERTIFICATES"]);
    let refused = "received fatal alert: CertificateRequired";
    is_kept_out(&sbc, &sbc.gateway("tls", ""), refused).await;
}

#[tokio::test]
async fn an_sbc_that_cannot_prove_who_it_is_gets_nothing() {
    let other = Sbc::wanting(9, &["WITH_ANOTHERS_CERTIFICATE"]);
    let why = "certificate not valid for name \"127.0.0.1\"";
    is_kept_out(&other, &other.gateway("tls", ""), why).await;
    let sbc = Sbc::start(9);
    let trusting_another = sbc
        .gateway("tls", "")
        .replace(&sbc.file("ca.pem"), &other.file("ca.pem"));
    is_kept_out(&sbc, &trusting_another, "invalid peer certificate").await;
}

/// No call is placed, and the operator sees why.
async fn is_kept_out(sbc: &Sbc, gateway: &str, why: &str) {
    let gateway = start(gateway);
    let trunk = soon("the gateway is down", async || {
        let trunk = trunk(&gateway).await;
        (trunk["reachable"] == false).then_some(trunk)
    })
    .await;
    assert_eq!(trunk["registered"], false, "{trunk:#}");
    let what = trunk["last_failure"]["what"].as_str().unwrap();
    assert!(what.starts_with("no answer to "), "{what}");
    assert!(what.contains(why), "{what}");
    let customer = gateway.customer("a@example.com", "10.00");
    is_not_taken(&customer).await;
    // Whoever it is has read nothing of ours.
    assert!(!sbc.log().contains("asked by"), "{}", sbc.log());
}

#[tokio::test]
async fn a_wrong_password_is_refused_once_and_named_to_the_operator() {
    let phone = Phone::start("");
    let sbc = Sbc::start(phone.port);
    let gateway = start(&sbc.gateway("udp", "").replace("s3cret", "wrong"));
    let trunk = soon("the registration is refused", async || {
        let trunk = trunk(&gateway).await;
        (!trunk["last_failure"].is_null()).then_some(trunk)
    })
    .await;
    assert_eq!(
        trunk["last_failure"]["what"],
        "the registration was answered 401"
    );
    assert_eq!(trunk["registered"], false);
    let customer = gateway.customer("a@example.com", "10.00");
    is_not_taken(&customer).await;
    assert!(phone.heard().is_empty());
}

cases! {
    an_sbc_that_is_restarted_during_traffic_is_used_again_by_itself:
    by_udp("udp");
    by_tcp("tcp");
    by_tls("tls");
}

/// A TCP or TLS connection that was lost is opened again, from the same port of ours.
async fn an_sbc_that_is_restarted_during_traffic_is_used_again_by_itself(transport: &str) {
    let phone = Phone::start("");
    let mut sbc = Sbc::start(phone.port);
    let gateway = start(&sbc.gateway(transport, ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(NUMBER, "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    are_answered(&gateway, 1).await;
    sbc.stop();
    let down = soon("the SBC is seen to be down", async || {
        let trunk = trunk(&gateway).await;
        (trunk["reachable"] == false).then_some(trunk)
    })
    .await;
    let what = down["last_failure"]["what"].as_str().unwrap();
    assert!(what.starts_with("no answer to a probe"), "{what}");
    sbc.run();
    // The call in progress has its audio beside the SBC: it was read to its end.
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
    is_registered(&gateway).await;
    // Another number, since the first has its window.
    deliver_to(&customer, OTHER_NUMBER, "7305").await;
    gateway.audit();
    assert_eq!(gateway.metric("nexo_internal_errors_total").await, 0.0);
    assert_eq!(phone.heard(), ["482917", "7305"]);
}

#[tokio::test]
async fn an_sbc_that_has_forgotten_us_is_registered_with_anew_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (_sipp, port) = phones(folder.path(), 1);
    let mut sbc = Sbc::start(port);
    // No probe sees that it was away, and the registration lasts for two minutes.
    let gateway = start(
        &sbc.gateway("udp", "")
            .replace("options_ping_seconds=1", "options_ping_seconds=0"),
    );
    is_registered(&gateway).await;
    sbc.stop();
    sbc.run();
    let customer = gateway.customer("a@example.com", "10.00");
    is_not_taken(&customer).await;
    soon("a call gets through", async || {
        (customer.send(NUMBER, "482917").await.status == 202).then_some(())
    })
    .await;
    gateway.audit();
}

/// SIPp as many phones at once, behind the SBC.
fn phones(folder: &Path, calls: usize) -> (Peer, u16) {
    let port = free_ports(2);
    let scenario = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/telephony/sipp/scenarios/behind-sbc.xml"
    );
    let mut sipp = Command::new("sipp");
    sipp.args(["-sf", scenario, "-i", "127.0.0.1", "-p", &port.to_string()])
        .args(["-mp", &free_ports(4).to_string(), "-m", &calls.to_string()])
        .args(["-nostdin", "-timeout", "100s"])
        .current_dir(folder);
    (Peer::start(&mut sipp, &folder.join("sipp.log")), port)
}

#[tokio::test]
async fn traffic_through_an_sbc_that_is_restarted_ends_rightly() {
    const CALLS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let (_sipp, port) = phones(folder.path(), CALLS + 1);
    let mut sbc = Sbc::start(port);
    let gateway = start(&sbc.gateway("udp", ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    let mut traffic = tokio::task::JoinSet::new();
    for n in 0..CALLS {
        // Ten calls before it goes, ten that find it gone or going, the others when it is back.
        match n {
            10 => {
                are_answered(&gateway, 10).await;
                sbc.stop();
            }
            20 => {
                soon("the SBC is seen to be down", async || {
                    (trunk(&gateway).await["reachable"] == false).then_some(())
                })
                .await;
                sbc.run();
                is_registered(&gateway).await;
            }
            _ => tokio::time::sleep(Duration::from_millis(30)).await,
        }
        let customer = customer.clone();
        traffic.spawn(async move {
            let sent = customer.send(&format!("+8498300{n:04}"), "4829").await;
            if sent.status != 202 {
                assert_eq!(
                    (sent.status, sent.error()),
                    (502, "no_route"),
                    "{}",
                    sent.text
                );
                return (n, None);
            }
            let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
            (n, Some(ended.json["status"].as_str().unwrap().to_owned()))
        });
    }
    let mut delivered = 0;
    while let Some(end) = traffic.join_next().await {
        let (n, status) = end.unwrap();
        // Those in progress when it went are read to their end.
        if !(10..20).contains(&n) {
            assert_eq!(status.as_deref(), Some("delivered"), "call {n}");
        }
        delivered += usize::from(status.as_deref() == Some("delivered"));
    }
    let (_, total) = customer.balance().await;
    assert_eq!(total, format!("{:.3}", 10.0 - 0.022 * delivered as f64));
    gateway.audit();
}
