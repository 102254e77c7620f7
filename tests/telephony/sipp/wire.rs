//! The visible effect of settings at the far end: in the INVITE, in the audio and in the time it has to
//! answer.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::far_end::FarEnd;
use super::{CASH, DELIVERED, PRICE, QUICK, assert_end, assert_total, carriers, start};
use harness::{Backend, Customer, Gateway, cases, phone, until};

const INVITE: &str = r#"<recv request="INVITE"/>"#;
const TIMEOUT: Duration = Duration::from_secs(60);

async fn deliver(customer: &Customer) {
    let sent = customer.send(&phone(1), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, &DELIVERED);
}

/// A scenario's INVITE step that requires all of these patterns, and the scenario's end.
fn invite_with(patterns: &[&str]) -> (String, String) {
    let (mut actions, mut found) = (String::new(), Vec::new());
    for (n, pattern) in patterns.iter().enumerate() {
        actions += &format!(
            r#"<ereg regexp="{pattern}" search_in="msg" check_it="true" assign_to="found{n}"/>"#
        );
        found.push(format!("found{n}"));
    }
    let invite = format!(r#"<recv request="INVITE"><action>{actions}</action></recv>"#);
    let end = format!(r#"<Reference variables="{}"/></scenario>"#, found.join(","));
    (invite, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_address_is_announced_from_behind_a_nat() {
    let public = "203[.]0[.]113[.]9";
    let patterns = [
        format!("Via: SIP/2.0/UDP {public}:[0-9]+;"),
        format!("Contact: &lt;sip:nexo@{public}:[0-9]+&gt;"),
        format!("o=nexo [0-9]+ [0-9]+ IN IP4 {public}"),
        format!("c=IN IP4 {public}"),
    ];
    let (invite, end) = invite_with(&patterns.each_ref().map(String::as_str));
    let edits = [(INVITE, invite.as_str()), ("</scenario>", &end)];
    let far_end = FarEnd::edited("answer", 1, &edits, &[]);
    let public = [("NEXO_SIP__PUBLIC_IP", "203.0.113.9")];
    let gateway = start(Backend::Sqlite, &[far_end.port], &public);
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer).await;
    assert_total(&customer, CASH - PRICE).await;
    far_end.assert_passed();
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_caller_id_of_the_pool_is_used() {
    // The chance that forty calls miss one of three numbers is less than one in three million.
    const CALLS: u32 = 40;
    const POOL: [&str; 3] = ["+842471234561", "+842471234562", "+842471234563"];
    let log_from = r#"<recv request="INVITE"><action>
        <ereg regexp="sip:[^@]*" search_in="hdr" header="From:" check_it="true" assign_to="from"/>
        <log message="from [$from]"/></action></recv>"#;
    let edits = [(INVITE, log_from), ("[code]", "486"), ("[reason]", "Busy Here")];
    let mut far_end = FarEnd::edited("refuse-after-trying", CALLS, &edits, &[]);
    let pool = format!("channels=500,caller_ids={POOL:?},");
    let carriers =
        carriers(&[far_end.port], ",options_ping_seconds=0").replace("channels=500,", &pool);
    let gateway = Gateway::start(Backend::Sqlite, &[("NEXO_CARRIERS", &carriers)]);
    let customer = gateway.customer("a@example.com", "10.00");
    for n in 0..CALLS {
        let sent = customer.send(&phone(n), "482917").await;
        assert_eq!(sent.status, 202, "{}", sent.text);
    }
    until("all calls", TIMEOUT, async || (!far_end.is_waiting()).then_some(())).await;
    let log = std::fs::read_to_string(far_end.log()).unwrap();
    let mut shown: Vec<&str> =
        log.lines().filter_map(|line| line.split("from sip:").nth(1)).collect();
    assert_eq!(shown.len(), CALLS as usize, "{log}");
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(shown, POOL);
    far_end.assert_passed();
}

/// A gateway with one timeout for all trunks and another for the first trunk.
fn start_with_timeouts(ports: &[u16], all_ms: &str, first_ms: u32) -> Gateway {
    let carriers = carriers(ports, ",options_ping_seconds=0");
    let own = format!("priority=1,timeout_ms={first_ms}");
    let carriers = carriers.replace("priority=1", &own);
    let settings = [
        ("NEXO_CARRIERS", carriers.as_str()),
        ("NEXO_CALLS__GATEWAY_TIMEOUT_MS", all_ms),
        ("NEXO_CALLS__DISPATCH_TIMEOUT_MS", "12000"),
        QUICK,
    ];
    Gateway::start(Backend::Sqlite, &settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_gateway_is_abandoned_after_its_own_timeout() {
    let (silent, other) =
        (FarEnd::start("silent", 1, &[], &[]), FarEnd::start("answer", 1, &[], &[]));
    let gateway = start_with_timeouts(&[silent.port, other.port], "10000", 700);
    let customer = gateway.customer("a@example.com", "10.00");
    let started = Instant::now();
    let sent = customer.send(&phone(2), "482917").await;
    let elapsed = started.elapsed();
    assert_eq!(sent.status, 202, "{}", sent.text);
    let (least, most) = (Duration::from_millis(700), Duration::from_secs(8));
    assert!((least..most).contains(&elapsed), "{elapsed:?}");
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, &DELIVERED);
    silent.assert_passed();
    other.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_gateway_may_use_its_own_long_timeout() {
    let late = format!(r#"{INVITE}<pause milliseconds="2000"/>"#);
    let slow = FarEnd::edited("answer", 1, &[(INVITE, &late)], &[]);
    // The second gateway exists because the last one may use the whole dispatch timeout.
    let next = UdpSocket::bind("127.0.0.1:0").unwrap();
    next.set_nonblocking(true).unwrap();
    let ports = [slow.port, next.local_addr().unwrap().port()];
    let gateway = start_with_timeouts(&ports, "400", 10_000);
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer).await;
    assert_total(&customer, CASH - PRICE).await;
    slow.assert_passed();
    let received = next.recv(&mut [0; 2000]).is_ok();
    assert!(!received, "the second gateway received a request");
}

/// The RTP header fields that determine playback, and the audio's length.
struct Packet {
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    audio: usize,
}

/// The packets queued in the socket.
fn received_packets(socket: &UdpSocket) -> Vec<Packet> {
    socket.set_nonblocking(true).unwrap();
    let mut packets = Vec::new();
    let mut buffer = [0; 2000];
    while let Ok(length) = socket.recv(&mut buffer) {
        assert_eq!(buffer[0], 0x80, "an RTP header without padding, extension or CSRC");
        packets.push(Packet {
            payload_type: buffer[1] & 0x7F,
            sequence: u16::from_be_bytes([buffer[2], buffer[3]]),
            timestamp: u32::from_be_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]),
            audio: length - 12,
        });
    }
    packets
}

cases! {
    codec_and_packet_time_follow_the_far_ends_answer:
    pcmu(0, "PCMU", "", 160);
    pcma_in_packets_of_40_ms(8, "PCMA", "a=ptime:40", 320);
    pcmu_in_packets_of_60_ms(0, "PCMU", "a=ptime:60", 480);
}

async fn codec_and_packet_time_follow_the_far_ends_answer(
    codec: u8,
    name: &str,
    ptime: &str,
    audio: usize,
) {
    const BOTH: &str = "m=audio [media_port] RTP/AVP 8 0
      a=rtpmap:8 PCMA/8000
      a=rtpmap:0 PCMU/8000";
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let one = format!(
        "m=audio {port} RTP/AVP {codec}
      a=rtpmap:{codec} {name}/8000
      {ptime}"
    );
    let far_end = FarEnd::edited("answer", 1, &[(BOTH, one.trim_end())], &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer).await;
    far_end.assert_passed();
    let packets = received_packets(&socket);
    // About five seconds.
    let milliseconds = packets.len() * audio / 8;
    assert!(milliseconds > 2_000, "{name} {ptime}: {milliseconds} ms");
    assert!(packets.iter().all(|packet| packet.payload_type == codec));
    // The last packet holds the rest of the audio.
    let (last, whole) = packets.split_last().unwrap();
    let is_whole = |packet: &Packet| packet.audio == audio;
    assert!(whole.iter().all(is_whole), "{name} {ptime}");
    assert!(last.audio <= audio, "{name} {ptime}: {}", last.audio);
    for two in packets.windows(2) {
        let packets = two[1].sequence.wrapping_sub(two[0].sequence);
        let units = two[1].timestamp.wrapping_sub(two[0].timestamp);
        assert_eq!((packets, units as usize), (1, audio), "{name} {ptime}");
    }
}
