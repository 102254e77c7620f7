//! Media descriptions in forms that carriers send: beside other parts, with a host name, in other encodings, without an
//! address at first, with several streams, with other payload types, with keys that we cannot use.

use std::net::UdpSocket;

use super::far_end::FarEnd;
use super::names::NameServer;
use super::{CASH, DELIVERED, End, PRICE, assert_end, assert_total, carriers, refunded, start};
use crate::interop::peers::trunk;
use harness::{Backend, Gateway, cases, phone};

const CONTENT_TYPE: &str = "Content-Type: application/sdp";
const BEGIN: &str = "      v=0\n";
const CONNECTION: &str = "c=IN IP[media_ip_type] [media_ip]";
const CODECS: &str = "RTP/AVP 8 0\n      a=rtpmap:8 PCMA/8000\n      a=rtpmap:0 PCMU/8000\n";

/// Sends an OTP and asserts how it ends.
async fn ends(gateway: &Gateway, end: &End) {
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(1), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, end);
    assert_total(&customer, if end.is_kept { CASH - PRICE } else { CASH }).await;
    gateway.audit();
}

cases! {
    an_answer_is_read_in_every_form:
    beside_isup("answer", &[
        (CONTENT_TYPE, "Content-Type: multipart/mixed;boundary=\"unique boundary\""),
        (BEGIN, "      preamble\n      --unique boundary\n      Content-Type: application/isup;version=itu-t92+\n\
            \x20     Content-Disposition: signal;handling=optional\n\n      \\x01\\x11\\x00\\xff\n\
            \x20     --unique boundary\n      content-type: APPLICATION/SDP\n\n      v=0\n"),
    ]);
    beside_isup_before_the_answer("reliable", &[
        (CONTENT_TYPE, "c: Multipart/Mixed; boundary=x"),
        (BEGIN, "      --x\n      Content-Type: application/sdp;charset=utf-8\n\n      v=0\n"),
    ]);
    under_another_spelling("answer", &[(CONTENT_TYPE, "Content-Type : Application/SDP ; x=y")]);
    without_a_content_type("answer", &[(CONTENT_TYPE, "X-Content-Type: none")]);
    not_in_utf_8("answer", &[("s=-", "s=C\\xf4ng ty \\xff\\xfe")]);
    with_odd_lines("answer", &[("s=-", "o=\n      q=?\n      nonsense\n      s=")]);
    address_in_the_stream("answer", &[(CONNECTION, "a=x"), (CODECS,
        "RTP/AVP 8\n      c=IN IP[media_ip_type] [media_ip]\n")]);
    dynamic_payload_type("answer", &[(CODECS, "RTP/AVP 96\n      a=rtpmap:96 PCMA/8000\n")]);
}

async fn an_answer_is_read_in_every_form(scenario: &'static str, edits: &[(&str, &str)]) {
    let far_end = FarEnd::edited(scenario, 1, edits, &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &[]);
    ends(&gateway, &DELIVERED).await;
    far_end.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_in_the_answer_is_looked_up() {
    let server = NameServer::start(&["--host-record=media.carrier.example,127.0.0.1".to_owned()]);
    let servers = format!(r#"["{}"]"#, server.address);
    let settings = [("NEXO_SIP__DNS_SERVERS", servers.as_str())];
    let edits = [(CONNECTION, "c=IN IP4 media.carrier.example")];
    let far_end = FarEnd::edited("answer", 1, &edits, &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &settings);
    ends(&gateway, &DELIVERED).await;
    far_end.assert_passed();
    let edits = [(CONNECTION, "c=IN IP4 gone.carrier.example")];
    let far_end = FarEnd::edited("answer", 1, &edits, &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &settings);
    ends(&gateway, &refunded("carrier_error", "media_lost")).await;
    far_end.assert_passed();
    let what =
        "the media of a call cannot be used: the media host gone.carrier.example has no address";
    assert_eq!(trunk(&gateway).await["last_failure"]["what"], what);
}

const FIRST_MEDIA: &str =
    "c=IN IP[media_ip_type] [media_ip]\n      t=0 0\n      m=audio [media_port] RTP/AVP 8 0";
const PAUSE: (&str, &str) = ("1500", "500");

cases! {
    the_reading_waits_for_an_address:
    of_zeros("c=IN IP4 0.0.0.0\n      t=0 0\n      m=audio [media_port] RTP/AVP 8 0");
    of_ipv6_zeros("c=IN IP6 ::\n      t=0 0\n      m=audio [media_port] RTP/AVP 8 0");
    of_port_0("c=IN IP4 [media_ip]\n      t=0 0\n      m=audio 0 RTP/AVP 8 0");
    of_an_inactive_stream("c=IN IP4 [media_ip]\n      a=inactive\n      t=0 0\n      m=audio [media_port] RTP/AVP 8 0");
}

/// The far end answers without an address, and tells it half a second later.
async fn the_reading_waits_for_an_address(media: &str) {
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = elsewhere.local_addr().unwrap().port().to_string();
    let edits = [(FIRST_MEDIA, media), PAUSE, ("moved_port", port.as_str())];
    let far_end = FarEnd::edited("moved", 1, &edits, &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &[]);
    ends(&gateway, &DELIVERED).await;
    far_end.assert_passed();
    let mut packet = [0; 2000];
    elsewhere.set_nonblocking(true).unwrap();
    elsewhere.recv(&mut packet).unwrap();
    assert_eq!(packet[1], 0x88, "the first packet of the reading, with the marker");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_streams_of_an_offer_are_answered() {
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let offer = format!(
        "m=image 6000 udptl t38\n      m=audio {port} RTP/AVP 8\n      m=video 6002 RTP/AVP 96 97\n      m=audio 6004"
    );
    // A dot of SIPp's expressions matches line ends too.
    let answer = "m=image 0 udptl t38.*m=audio [1-9][0-9]* RTP/AVP 8.*m=video 0 RTP/AVP 96.*m=audio 0 RTP/AVP 8";
    let edits =
        [("m=audio moved_port", offer.as_str()), ("m=audio [1-9][0-9]* RTP/AVP [^;]*8", answer)];
    let far_end = FarEnd::edited("moved", 1, &edits, &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &[]);
    ends(&gateway, &DELIVERED).await;
    far_end.assert_passed();
    assert!(elsewhere.recv(&mut [0; 2000]).is_ok());
}

cases! {
    keys_that_cannot_be_used_are_refused:
    before_the_answer("early-key", &[], "it has a master key identifier (MKI), which is not supported");
    in_the_answer("protected", &[("answer_key", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==|1:1"),
        ("audio_port", "6000")], "it has a master key identifier (MKI), which is not supported");
    with_a_session_parameter("protected", &[("answer_key", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw== UNENCRYPTED_SRTP"),
        ("audio_port", "6000")], "a session parameter of the crypto attribute is not supported");
}

async fn keys_that_cannot_be_used_are_refused(
    scenario: &'static str,
    edits: &[(&str, &str)],
    why: &str,
) {
    let far_end = FarEnd::edited(scenario, 1, edits, &[]);
    let carriers = carriers(&[far_end.port], ",options_ping_seconds=0,srtp=true");
    let gateway = Gateway::start(Backend::Sqlite, &[("NEXO_CARRIERS", carriers.as_str())]);
    ends(&gateway, &refunded("carrier_error", "media_lost")).await;
    far_end.assert_passed();
    let trunk = trunk(&gateway).await;
    let what = trunk["last_failure"]["what"].as_str().unwrap();
    assert!(what.ends_with(why), "{what}");
    assert!(!what.contains("BwcHBw") && !what.contains("PS1uQ"), "{what}");
}
