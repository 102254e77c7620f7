//! What takes a gateway out of use for calls, and what brings it back.

use std::time::Duration;

use super::far_end::FarEnd;
use super::{CASH, DELIVERED, PRICE, QUICK, assert_end, assert_total, carriers, start};
use harness::{Backend, Gateway, answer, cases, client, phone, until};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn three_silent_calls_open_the_circuit_and_a_trial_closes_it() {
    let silent = FarEnd::start("silent", 3, &[], &[]);
    let port = silent.port;
    let gateway = start(Backend::Sqlite, &[port], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    for n in 1..=3 {
        let sent = customer.send(&phone(n), "482917").await;
        assert_eq!((sent.status, sent.error()), (502, "no_route"));
    }
    drop(silent);
    let mut back = FarEnd::at(port, "answer", 1);
    let shut = customer.send(&phone(4), "482917").await;
    assert_eq!((shut.status, shut.error()), (502, "no_route"));
    assert!(back.is_waiting(), "a call was placed before the trial");
    let sent = until("a trial", SOON, async || {
        let sent = customer.send(&phone(5), "482917").await;
        (sent.status == 202).then_some(sent)
    })
    .await;
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, &DELIVERED);
    assert_total(&customer, CASH - PRICE).await;
    back.assert_passed();
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttling_gateway_is_skipped() {
    let mut throttled = FarEnd::start("throttle", 2, &[], &[]);
    let other = FarEnd::start("answer", 3, &[], &[]);
    let gateway = start(Backend::Sqlite, &[throttled.port, other.port], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    let mut accepted = Vec::new();
    for n in 1..=3 {
        let sent = customer.send(&phone(n), "482917").await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        accepted.push(sent.json["id"].as_str().unwrap().to_owned());
    }
    assert!(throttled.is_waiting(), "a call was placed within its 17 s");
    for id in accepted {
        assert_end(&customer.terminal(&id).await, &DELIVERED);
    }
    other.assert_passed();
    assert_total(&customer, CASH - 3.0 * PRICE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_gateway_is_tried_once_more_after_throttling() {
    let mut throttled = FarEnd::start("throttle", 3, &[], &[]);
    let gateway = start(Backend::Sqlite, &[throttled.port], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    for n in 1..=5 {
        let sent = customer.send(&phone(n), "482917").await;
        assert_eq!((sent.status, sent.error()), (429, "no_route"), "{}", sent.text);
        let wait = sent.json["retry_after_seconds"].as_u64().unwrap();
        assert!((10..=17).contains(&wait), "{wait}");
    }
    assert!(throttled.is_waiting(), "three calls were placed");
    assert_total(&customer, CASH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_and_number_follow_the_carriers_format() {
    let far_end = FarEnd::start("identity", 1, &[], &[]);
    let gateway = format!(
        r#"{{name="gw",uri="sip:127.0.0.1:{}",number_format="national",from_domain="sip.acme.vn",asserted_identity=true,privacy=true,options_ping_seconds=0}}"#,
        far_end.port
    );
    let carriers =
        format!(r#"[{{name="viettel",caller_ids=["+842471234567"],gateways=[{gateway}]}}]"#);
    let settings = [("NEXO_CARRIERS", carriers.as_str()), QUICK];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send("+84981234501", "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, &DELIVERED);
    far_end.assert_passed();
}

cases! {
    a_registration_uses_min_expires_and_is_renewed_and_removed_at_shutdown:
    of_our_contact("[last_Contact:];expires=4");
    of_a_rewritten_contact("Contact: <sip:nexo@192.0.2.8:5060>;expires=600, <sip:nexo@198.51.100.7:1024;ob>;expires=4\n\
      m: <sip:other@192.0.2.9>;expires=2");
}

/// `contact` is the registrar's list of bindings. Ours, which it may have rewritten, ends after 4 s.
async fn a_registration_uses_min_expires_and_is_renewed_and_removed_at_shutdown(contact: &str) {
    let edits = [("[last_Contact:];expires=4", contact)];
    let registrar = FarEnd::edited("registrar", 1, &edits, &[]);
    let more = r#",username="nexo",password="s3cret",register=true,register_expires_seconds=60,options_ping_seconds=0"#;
    let carriers = carriers(&[registrar.port], more);
    let settings = [("NEXO_CARRIERS", carriers.as_str()), QUICK];
    let mut gateway = Gateway::start(Backend::Sqlite, &settings);
    until("a renewal", SOON, async || {
        let log = std::fs::read_to_string(registrar.log()).unwrap_or_default();
        log.contains("renewed").then_some(())
    })
    .await;
    let page = gateway.metrics.replace("/metrics", "/trunks");
    let trunks = answer(client().get(&page)).await.text;
    assert!(trunks.contains(r#""registered":true"#), "{trunks}");
    assert_eq!(gateway.terminate(), Some(0));
    registrar.assert_passed();
}
