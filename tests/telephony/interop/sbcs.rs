//! Kamailio: a carrier's SBC that registers us, challenges requests, and goes down during traffic.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::peers::{
    NUMBER, OTHER_NUMBER, Peer, Phone, SBC_NAME, Sbc, are_answered, assert_refused, deliver,
    deliver_to, is_registered,
};
use super::peers::{soon, start, trunk};
use harness::cases;
use harness::ports::free_ports;

cases! {
    an_sbc_registers_challenges_and_forwards_calls:
    by_udp("udp", "482917");
    by_tcp("tcp", "8264");
    by_tls("tls", "51903");
}

async fn an_sbc_registers_challenges_and_forwards_calls(transport: &str, code: &str) {
    let phone = Phone::start("");
    let sbc = Sbc::start(phone.port);
    let mut gateway = start(&sbc.gateway(transport, ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, code).await;
    gateway.audit();
    assert_eq!(gateway.terminate(), Some(0));
    assert_eq!(phone.recognised_codes(), [code]);
}

#[tokio::test]
async fn a_sha_256_challenge_is_answered_with_sha_256() {
    let phone = Phone::start("");
    let sbc = Sbc::with_defines(phone.port, &["WITH_SHA256"]);
    let gateway = start(&sbc.gateway("udp", ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, "482917").await;
    let trunk = trunk(&gateway).await;
    assert_eq!(trunk["last_failure"], serde_json::Value::Null);
    gateway.audit();
    assert_eq!(phone.recognised_codes(), ["482917"]);
}

/// Kamailio offers MD5 first, and accepts only SHA-256.
#[tokio::test]
async fn the_strongest_of_several_challenges_is_answered() {
    let phone = Phone::start("");
    let sbc = Sbc::with_defines(phone.port, &["WITH_SHA256", "WITH_MD5_FIRST"]);
    let gateway = start(&sbc.gateway("udp", r#",digest="sha-256""#));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, "482917").await;
    let trunk = trunk(&gateway).await;
    assert_eq!(trunk["last_failure"], serde_json::Value::Null);
    assert_eq!(phone.recognised_codes(), ["482917"]);
    assert!(sbc.log_count("REGISTER granted") > 0, "{}", sbc.log());
}

/// Every request is challenged by two proxies in turn. Once both nonces are known, one INVITE and one BYE suffice.
#[tokio::test]
async fn proxies_of_two_realms_are_both_answered() {
    let phone = Phone::start("");
    let sbc = Sbc::with_defines(phone.port, &["WITH_SECOND_REALM"]);
    let any_realm = sbc.gateway("udp", "").replace(r#"realm="carrier.example.vn","#, "");
    let gateway = start(&any_realm);
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, "482917").await;
    soon("the phone is hung up", async || {
        (sbc.log_count("BYE granted by the core") == 1).then_some(())
    })
    .await;
    for granted in ["REGISTER", "OPTIONS", "INVITE"] {
        let granted = format!("{granted} granted by the core");
        assert!(sbc.log_count(&granted) > 0, "{granted}: {}", sbc.log());
    }
    let challenged = sbc.log_count("INVITE challenged") + sbc.log_count("BYE challenged");
    assert!(challenged <= 2, "{}", sbc.log());
    assert_eq!(trunk(&gateway).await["last_failure"], serde_json::Value::Null);
    gateway.audit();
    assert_eq!(phone.recognised_codes(), ["482917"]);
}

#[tokio::test]
async fn a_challenge_weaker_than_required_is_reported_to_the_operator() {
    let sbc = Sbc::start(9);
    let gateway = start(&sbc.gateway("udp", r#",digest="sha-256""#));
    let what = "the registration was answered 401: challenged (401) with the digest algorithm md5, but `digest` \
                requires sha-256";
    soon("the reason", async || {
        let trunk = trunk(&gateway).await;
        (trunk["last_failure"]["what"] == what && trunk["registered"] == false).then_some(())
    })
    .await;
    let customer = gateway.customer("a@example.com", "10.00");
    assert_refused(&customer).await;
    assert_eq!(sbc.log_count("granted"), 0, "{}", sbc.log());
}

#[tokio::test]
async fn a_stale_nonce_is_replaced_without_failures() {
    let phone = Phone::start("");
    let sbc = Sbc::with_defines(phone.port, &["WITH_SHORT_NONCES"]);
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
    assert_eq!(phone.recognised_codes(), ["482917"]);
}

#[tokio::test]
async fn a_reused_nonce_needs_one_invite_and_one_bye_per_call() {
    let phone = Phone::start("");
    let sbc = Sbc::start(phone.port);
    let gateway = start(&sbc.gateway("udp", ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, "482917").await;
    let is_hung_up = async |times| {
        soon("the phone is hung up", async || {
            (sbc.log_count("BYE granted") == times).then_some(())
        })
        .await;
    };
    is_hung_up(1).await;
    let challenged = sbc.log_count("challenged");
    deliver_to(&customer, OTHER_NUMBER, "7305").await;
    is_hung_up(2).await;
    // Probes continue in the meantime with the same nonce.
    let log = sbc.log();
    assert_eq!(sbc.log_count("INVITE granted"), 2, "{log}");
    assert_eq!(sbc.log_count("challenged"), challenged, "{log}");
    assert_eq!(sbc.log_count("a stale nonce"), 0, "{log}");
    gateway.audit();
    assert_eq!(phone.recognised_codes(), ["482917", "7305"]);
}

#[tokio::test]
async fn tls_name_is_verified_for_an_sbc_reached_by_address() {
    let phone = Phone::start("");
    let sbc = Sbc::with_defines(phone.port, &["WITH_NAMED_CERTIFICATE"]);
    let why = "certificate not valid for name \"127.0.0.1\"";
    assert_rejected(&sbc, &sbc.gateway("tls", ""), why).await;
    let named = format!(r#",tls_name="{SBC_NAME}""#);
    let gateway = start(&sbc.gateway("tls", &named));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, "482917").await;
    assert!(sbc.log_count(&format!("INVITE asked of {SBC_NAME}\n")) > 0);
    gateway.audit();
    assert_eq!(phone.recognised_codes(), ["482917"]);
}

#[tokio::test]
async fn a_client_certificate_is_presented_on_request() {
    let phone = Phone::start("");
    let sbc = Sbc::with_defines(phone.port, &["WITH_CLIENT_CERTIFICATES"]);
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
    assert_eq!(phone.recognised_codes(), ["482917"]);
}

#[tokio::test]
async fn an_sbc_that_requires_a_client_certificate_rejects_a_gateway_without_one() {
    let sbc = Sbc::with_defines(9, &["WITH_CLIENT_CERTIFICATES"]);
    let refused = "received fatal alert: CertificateRequired";
    assert_rejected(&sbc, &sbc.gateway("tls", ""), refused).await;
}

#[tokio::test]
async fn an_sbc_with_an_invalid_certificate_receives_no_requests() {
    let other = Sbc::with_defines(9, &["WITH_ANOTHERS_CERTIFICATE"]);
    let why = "certificate not valid for name \"127.0.0.1\"";
    assert_rejected(&other, &other.gateway("tls", ""), why).await;
    let sbc = Sbc::start(9);
    let trusting_another =
        sbc.gateway("tls", "").replace(&sbc.file("ca.pem"), &other.file("ca.pem"));
    assert_rejected(&sbc, &trusting_another, "invalid peer certificate").await;
}

/// Asserts that no call is placed and that the operator sees the reason.
async fn assert_rejected(sbc: &Sbc, gateway: &str, why: &str) {
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
    assert_refused(&customer).await;
    // The peer has not received any request.
    assert!(!sbc.log().contains("asked by"), "{}", sbc.log());
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_reported_to_the_operator() {
    let phone = Phone::start("");
    let sbc = Sbc::start(phone.port);
    let gateway = start(&sbc.gateway("udp", "").replace("s3cret", "wrong"));
    let trunk = soon("the registration is refused", async || {
        let trunk = trunk(&gateway).await;
        (!trunk["last_failure"].is_null()).then_some(trunk)
    })
    .await;
    assert_eq!(trunk["last_failure"]["what"], "the registration was answered 401");
    assert_eq!(trunk["registered"], false);
    let customer = gateway.customer("a@example.com", "10.00");
    assert_refused(&customer).await;
    assert!(phone.recognised_codes().is_empty());
}

cases! {
    a_restarted_sbc_is_used_again_automatically:
    by_udp("udp");
    by_tcp("tcp");
    by_tls("tls");
}

/// A lost TCP or TLS connection is reopened from the same local port.
async fn a_restarted_sbc_is_used_again_automatically(transport: &str) {
    let phone = Phone::start("");
    let mut sbc = Sbc::start(phone.port);
    let gateway = start(&sbc.gateway(transport, ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(NUMBER, "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    are_answered(&gateway, 1).await;
    sbc.stop();
    let down = soon("the SBC is reported as down", async || {
        let trunk = trunk(&gateway).await;
        (trunk["reachable"] == false).then_some(trunk)
    })
    .await;
    let what = down["last_failure"]["what"].as_str().unwrap();
    assert!(what.starts_with("no answer to a probe"), "{what}");
    sbc.run();
    // The audio of the call in progress bypasses the SBC, so the reading completes.
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
    is_registered(&gateway).await;
    // Another number, because the window of the first is closed.
    deliver_to(&customer, OTHER_NUMBER, "7305").await;
    gateway.audit();
    assert_eq!(gateway.metric("nexo_internal_errors_total").await, 0.0);
    assert_eq!(phone.recognised_codes(), ["482917", "7305"]);
}

#[tokio::test]
async fn a_lost_registration_is_renewed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (_sipp, port) = phones(folder.path(), 1);
    let mut sbc = Sbc::start(port);
    // No probe notices the restart, and the registration lasts two minutes.
    let gateway =
        start(&sbc.gateway("udp", "").replace("options_ping_seconds=1", "options_ping_seconds=0"));
    is_registered(&gateway).await;
    sbc.stop();
    sbc.run();
    let customer = gateway.customer("a@example.com", "10.00");
    assert_refused(&customer).await;
    soon("a call is accepted", async || {
        (customer.send(NUMBER, "482917").await.status == 202).then_some(())
    })
    .await;
    gateway.audit();
}

/// SIPp as several phones behind the SBC.
fn phones(folder: &Path, calls: usize) -> (Peer, u16) {
    let port = free_ports(2);
    let scenario =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/telephony/sipp/scenarios/behind-sbc.xml");
    let mut sipp = Command::new("sipp");
    sipp.args(["-sf", scenario, "-i", "127.0.0.1", "-p", &port.to_string()])
        .args(["-mp", &free_ports(4).to_string(), "-m", &calls.to_string()])
        .args(["-nostdin", "-timeout", "100s"])
        .current_dir(folder);
    (Peer::start(&mut sipp, &folder.join("sipp.log")), port)
}

#[tokio::test]
async fn traffic_through_a_restarted_sbc_ends_correctly() {
    const CALLS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let (_sipp, port) = phones(folder.path(), CALLS + 1);
    let mut sbc = Sbc::start(port);
    let gateway = start(&sbc.gateway("udp", ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    let mut traffic = tokio::task::JoinSet::new();
    for n in 0..CALLS {
        // Ten calls before the stop, ten during the outage, the others after the restart.
        match n {
            10 => {
                are_answered(&gateway, 10).await;
                sbc.stop();
            }
            20 => {
                soon("the SBC is reported as down", async || {
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
                assert_eq!((sent.status, sent.error()), (502, "no_route"), "{}", sent.text);
                return (n, None);
            }
            let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
            (n, Some(ended.json["status"].as_str().unwrap().to_owned()))
        });
    }
    let mut delivered = 0;
    while let Some(end) = traffic.join_next().await {
        let (n, status) = end.unwrap();
        // Calls in progress at the stop complete.
        if !(10..20).contains(&n) {
            assert_eq!(status.as_deref(), Some("delivered"), "call {n}");
        }
        delivered += usize::from(status.as_deref() == Some("delivered"));
    }
    let (_, total) = customer.balance().await;
    assert_eq!(total, format!("{:.3}", 10.0 - 0.022 * delivered as f64));
    gateway.audit();
}
