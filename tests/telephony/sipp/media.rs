//! Media features: keys, audio that moves to another port, and SRTP.

use harness::nexo_binary;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use super::far_end::{FarEnd, edited, free_port};
use super::{
    CASH, DELIVERED, PRICE, QUICK, assert_end, assert_total, call, carriers, refunded, start,
};
use harness::recogniser::{python, recognised};
use harness::{Backend, Gateway, cases, per_database, phone};

/// Whether SIPp may play recorded packets: through a raw socket, which requires root.
fn may_play_recordings() -> bool {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !is_root {
        eprintln!("skipped: SIPp needs a raw socket to press a key");
    }
    is_root
}

#[per_database]
async fn a_telephone_event_starts_the_code(backend: Backend) {
    if !may_play_recordings() {
        return;
    }
    let settings = [("NEXO_CALLS__REQUIRE_KEYPRESS", "true")];
    call(backend, "press-key", &[], &settings, DELIVERED).await;
}

cases! {
    an_event_under_an_odd_payload_type_starts_the_code:
    ours_although_the_answer_has_another(&[("101", "96")]);
    ours_although_the_answer_has_none(&[
        (" 101\n", "\n"), ("      a=rtpmap:101 telephone-event/8000\n", ""), ("      a=fmtp:101 0-15\n", ""),
    ]);
    mapped_to_two_clock_rates(&[(
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:101 telephone-event/16000\n      a=rtpmap:101 telephone-event/8000",
    )]);
    mapped_to_another_clock_rate(&[("telephone-event/8000", "telephone-event/16000")]);
}

/// The recorded events have the payload type 101, whatever the answer says.
async fn an_event_under_an_odd_payload_type_starts_the_code(edits: &[(&str, &str)]) {
    if !may_play_recordings() {
        return;
    }
    let far_end = FarEnd::edited("press-key", 1, edits, &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &[REQUIRE_KEYPRESS]);
    deliver(&gateway, "482917").await;
    far_end.assert_passed();
}

cases! {
    an_info_starts_the_code:
    by_a_relay_body("application/dtmf-relay", "Signal=5\n      Duration=160");
    by_a_relay_body_with_blanks_and_a_number("application/dtmf-relay", "Signal= 10\n      Duration= 250");
    by_a_single_character("application/dtmf", "*");
}

async fn an_info_starts_the_code(kind: &str, signal: &str) {
    let far_end = FarEnd::edited("press-info", 1, &[("[kind]", kind), ("[signal]", signal)], &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &[REQUIRE_KEYPRESS]);
    deliver(&gateway, "482917").await;
    far_end.assert_passed();
}

const REQUIRE_KEYPRESS: (&str, &str) = ("NEXO_CALLS__REQUIRE_KEYPRESS", "true");

cases! {
    an_in_band_tone_starts_the_code:
    five("5");
    zero("0");
    hash("#");
}

/// A phone without telephone-events sends its key as a tone through the codec.
async fn an_in_band_tone_starts_the_code(key: &str) {
    press_tone(key, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_in_band_tone_starts_the_code_although_events_were_agreed() {
    let agreed = [
        (" RTP/AVP 8\n", " RTP/AVP 8 101\n"),
        ("PCMA/8000\n    ]]>", "PCMA/8000\n      a=rtpmap:101 telephone-event/8000\n    ]]>"),
    ];
    press_tone("8", &agreed).await;
}

async fn press_tone(key: &str, edits: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let tone = folder.path().join("tone.alaw");
    let tone = tone.to_str().unwrap();
    let made = python_program("tone.py").args([key, tone]).status().unwrap();
    assert!(made.success());
    let edits = [&[("key.alaw", tone)], edits].concat();
    let far_end = FarEnd::edited("press-tone", 1, &edits, &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &[REQUIRE_KEYPRESS]);
    deliver(&gateway, "482917").await;
    far_end.assert_passed();
}

/// Behind a NAT the far end announces an unreachable address; its audio, with the key, arrives from the
/// gateway's address (RFC 4961). Runs in a separate network namespace, where the announced address leads
/// nowhere.
#[test]
fn a_key_is_received_from_behind_a_nat() {
    if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
        eprintln!("skipped: a separate network namespace needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (tone, scenario) = (file("tone.alaw"), file("scenario.xml"));
    assert!(python_program("tone.py").args(["7", &tone]).status().unwrap().success());
    let edits = [("key.alaw", tone.as_str()), ("[media_ip]", "10.9.9.9")];
    std::fs::write(&scenario, edited("press-tone", &edits)).unwrap();
    let script = r#"
        ip link set lo up
        ip address add 10.9.9.9/32 dev lo
        sipp -sf "$1" -i 127.0.0.1 -p 5070 -mp 6000 -m 1 -nostdin -timeout 60s -timeout_error >&2 &
        # 5070
        until grep -q ' 0100007F:13CE ' /proc/net/udp; do sleep 0.05; done
        "$2" --json call +84981234567 482917
        wait $!
    "#;
    let carriers = r#"[{name="viettel",gateways=[{name="gw",uri="sip:127.0.0.1:5070"}]}]"#;
    let output = Command::new("timeout")
        .args(["60", "unshare", "--net", "bash", "-ec", script, "bash"])
        .arg(&scenario)
        .arg(nexo_binary())
        .current_dir(folder.path())
        .env("NEXO_CARRIERS", carriers)
        .env("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0")
        .env("NEXO_SIP__RTP_PORTS", "0")
        .envs([QUICK, REQUIRE_KEYPRESS])
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{output:?}");
    let call: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(call["status"], "delivered", "{call:#}");
}

/// The far end sends a second of audio and then nothing, as with voice activity detection, and no RTCP.
#[tokio::test(flavor = "multi_thread")]
async fn a_far_end_that_falls_silent_hears_every_reading() {
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("silence.alaw");
    std::fs::write(&second, [0xd5; 8000]).unwrap();
    let edits = [("key.alaw", second.to_str().unwrap())];
    let far_end = FarEnd::edited("press-tone", 1, &edits, &[]);
    let settings = [("NEXO_CALLS__MEDIA_TIMEOUT_SECONDS", "1"), ("NEXO_CALLS__REPEAT", "3")];
    let gateway = start(Backend::Sqlite, &[far_end.port], &settings);
    deliver(&gateway, "482917").await;
    far_end.assert_passed();
    // Three readings take more than 20 s.
    assert!(gateway.metric("nexo_rtp_packets_sent_total").await > 1000.0);
}

/// The answer names a port without a socket, so that the kernel refuses each packet (ICMP).
#[tokio::test(flavor = "multi_thread")]
async fn a_far_end_that_refuses_our_audio_is_hung_up() {
    let closed = free_port().to_string();
    let far_end = FarEnd::edited("answer", 1, &[("[media_port]", &closed)], &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(1), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, &refunded("carrier_error", "media_lost"));
    assert_total(&customer, CASH).await;
    far_end.assert_passed();
    gateway.audit();
}

async fn deliver(gateway: &Gateway, code: &str) {
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(1), code).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, &DELIVERED);
    assert_total(&customer, CASH - PRICE).await;
    gateway.audit();
}

/// Runs a program of `tests/telephony/python`.
fn python_program(program: &str) -> Command {
    let mut python = Command::new(python());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/telephony/python");
    python.arg(folder.join(program));
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

cases! {
    audio_continues_at_its_new_port:
    by_a_second_invite("moved");
    by_the_ack("moved-in-ack");
}

async fn audio_continues_at_its_new_port(scenario: &'static str) {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let far_end = FarEnd::edited(scenario, 1, &[("moved_port", &port)], &[]);
    let gateway = start(Backend::Sqlite, &[far_end.port], &[]);
    deliver(&gateway, "482917").await;
    far_end.assert_passed();
    let sent = gateway.metric("nexo_rtp_packets_sent_total").await;
    // All received packets are still in the socket's buffer, up to its size.
    other.set_nonblocking(true).unwrap();
    let mut packet = [0; 2000];
    let mut numbers = Vec::new();
    while let Ok(length) = other.recv(&mut packet) {
        assert_eq!((length, packet[0], packet[1] & 0x7F), (172, 0x80, 8), "{scenario}");
        numbers.push(u16::from_be_bytes([packet[2], packet[3]]));
    }
    assert!(numbers.len() > 100, "{scenario}: {} of {sent}", numbers.len());
    // The first packets went to the old port. The packets here are consecutive.
    assert!(f64::from(numbers.len() as u32) < sent - 20.0, "{scenario}");
    let follows = |two: &[u16]| two[1] == two[0].wrapping_add(1);
    assert!(numbers.windows(2).all(follows), "{scenario}: {numbers:?}");
}

/// libsrtp decrypts everything that we encrypt, and we decrypt its keypress.
#[tokio::test(flavor = "multi_thread")]
async fn aes_256_srtp_interoperates_with_libsrtp() {
    const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==";
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("heard.wav");
    let audio = free_port();
    let port = audio.to_string();
    let edits = [("audio_port", port.as_str()), ("answer_key", KEY)];
    let far_end = FarEnd::edited("protected", 1, &edits, &[]);
    let mut phone_program = python_program("protected_phone.py")
        .args(["--port", &port, "--key", KEY, "--theirs"])
        .arg(far_end.log())
        .arg("--out")
        .arg(&recording)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(phone_program.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "the phone is ready");
    let carriers = carriers(&[far_end.port], ",options_ping_seconds=0,srtp=true");
    let settings = [("NEXO_CARRIERS", carriers.as_str()), QUICK, REQUIRE_KEYPRESS];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    deliver(&gateway, "482917").await;
    // The program prints its counts after some seconds without audio.
    let counts: serde_json::Value = serde_json::from_reader(output).unwrap();
    assert!(phone_program.wait().unwrap().success());
    assert_eq!(counts["refused"], 0, "{counts}");
    assert!(counts["rtp"].as_u64().unwrap() > 100, "{counts}");
    assert!(counts["rtcp"].as_u64().unwrap() >= 1, "{counts}");
    assert_eq!(recognised(&recording), "482917");
}
