//! Calls to SIPp with digest challenges.

use super::far_end::FarEnd;
use super::{CASH, DELIVERED, QUICK, assert_end, assert_total, carriers};
use harness::{Answer, Backend, Gateway, cases, phone};

/// One call to a gateway that challenges requests with this `qop`.
async fn challenged(qop: &str, credentials: &str) -> (Answer, FarEnd, Gateway) {
    let far_end = FarEnd::start("digest", 1, &[], &["-key", "qop", qop]);
    let carriers = carriers(&[far_end.port], credentials);
    let settings = [("NEXO_CARRIERS", carriers.as_str()), QUICK];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(5), "482917").await;
    if sent.status != 202 {
        return (sent, far_end, gateway);
    }
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    (ended, far_end, gateway)
}

cases! {
    a_digest_challenge_is_answered:
    by_the_request("auth");
    by_the_request_and_its_body("auth-int");
}

/// With `auth-int`, the digest also covers the INVITE's offer and the BYE's empty body.
async fn a_digest_challenge_is_answered(qop: &str) {
    let credentials = r#",username="nexo",password="s3cret",realm="carrier""#;
    let (ended, far_end, _gateway) = challenged(qop, credentials).await;
    assert_end(&ended, &DELIVERED);
    far_end.assert_passed();
}

/// The second realm's challenge is in the same response, in a field of the other kind.
#[tokio::test(flavor = "multi_thread")]
async fn two_realms_of_one_response_are_both_answered() {
    let edits = [
        (
            "qop=\"[qop]\"",
            "qop=\"auth\"\n      Proxy-Authenticate: Digest realm=\"edge\", nonce=\"1\"",
        ),
        (
            "<recv request=\"INVITE\" next=\"1\" test=\"valid\">\n    <action>",
            "<recv request=\"INVITE\" next=\"1\" test=\"valid\">\n    <action>\n      \
             <ereg regexp=\"realm=.edge.\" search_in=\"hdr\" header=\"Proxy-Authorization:\" \
             check_it=\"true\" assign_to=\"edge\"/>",
        ),
        ("</scenario>", "<Reference variables=\"edge\"/></scenario>"),
    ];
    let far_end = FarEnd::edited("digest", 1, &edits, &[]);
    let credentials = r#",username="nexo",password="s3cret",options_ping_seconds=0"#;
    let carriers = carriers(&[far_end.port], credentials);
    let settings = [("NEXO_CARRIERS", carriers.as_str()), QUICK];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(5), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_end(&customer.terminal(sent.json["id"].as_str().unwrap()).await, &DELIVERED);
    far_end.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_challenge_is_answered_once() {
    let far_end = FarEnd::start("challenge-on", 1, &[], &[]);
    let credentials = r#",username="nexo",password="s3cret",options_ping_seconds=0"#;
    let carriers = carriers(&[far_end.port], credentials);
    let gateway = Gateway::start(Backend::Sqlite, &[("NEXO_CARRIERS", carriers.as_str())]);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(6), "482917").await;
    assert_eq!((sent.status, sent.error()), (502, "no_route"), "{}", sent.text);
    far_end.assert_passed();
    assert_total(&customer, CASH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_no_route() {
    for wrong in [
        "",
        r#",username="nexo",password="wrong""#,
        r#",username="nexo",password="s3cret",realm="other""#,
    ] {
        let (refused, _far_end, _gateway) = challenged("auth", wrong).await;
        assert_eq!((refused.status, refused.error()), (502, "no_route"), "{wrong}");
    }
}
