//! `nexo prompts`, `nexo sandbox` and `nexo call`.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::Value;

use crate::nexo::Nexo;

#[test]
fn a_code_is_rendered_as_a_wav_file() {
    let nexo = Nexo::without_database();
    let render = |language: &str, out: &str| {
        let arguments = [
            "prompts",
            "render",
            "482917",
            "--language",
            language,
            "--out",
            out,
        ];
        let json = nexo.json(&arguments);
        assert_eq!(json["file"], out);
        let wav = std::fs::read(nexo.dir().join(out)).unwrap();
        assert_eq!(&wav[..4], b"RIFF");
        assert_eq!(&wav[8..16], b"WAVEfmt ");
        let two = |at: usize| u16::from_le_bytes([wav[at], wav[at + 1]]);
        assert_eq!((two(20), two(22), two(24), two(34)), (1, 1, 8000, 16));
        let seconds = json["seconds"].as_f64().unwrap();
        assert!((5.0..40.0).contains(&seconds), "{seconds}");
        wav
    };
    assert_ne!(render("vi", "vi.wav"), render("en", "en.wav"));
    let error = nexo.fail(1, &["prompts", "render", "482917", "--out", "no/where.wav"]);
    assert!(
        error.starts_with("error: cannot write no/where.wav: "),
        "{error}"
    );
    assert!(!error.contains("482917"), "{error}");
}

#[test]
fn the_sandbox_says_where_it_listens_takes_sip_and_ends_in_order() {
    let nexo = Nexo::without_database();
    let mut sandbox = nexo.start(&["sandbox", "--listen", "127.0.0.1:0", "--json"]);
    let first: Value = serde_json::from_str(&sandbox.line()).unwrap();
    let address: SocketAddr = first["listen"].as_str().unwrap().parse().unwrap();

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let local = socket.local_addr().unwrap();
    let invite = busy_invite(local, address);
    socket.send_to(invite.as_bytes(), address).unwrap();
    let mut buffer = [0; 2048];
    loop {
        let (length, _) = socket.recv_from(&mut buffer).unwrap();
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if answer.starts_with("SIP/2.0 486") {
            let to = answer.lines().find(|line| line.starts_with("To:")).unwrap();
            let ack = invite
                .replace("INVITE", "ACK")
                .replace("To: <sip:+84981234590@sandbox>", to.trim_end());
            socket.send_to(ack.as_bytes(), address).unwrap();
            break;
        }
        assert!(answer.starts_with("SIP/2.0 1"), "{answer}");
    }
    let call: Value = serde_json::from_str(&sandbox.line()).unwrap();
    assert_eq!(call["call_id"], "one-busy-call");
    assert_eq!(call["phone"], "+84981234590");
    assert_eq!(call["answered"], false);
    assert_eq!(call["digits_heard"], "");

    assert!(sandbox.terminate().success());
}

/// An INVITE for a number that is busy.
fn busy_invite(local: SocketAddr, remote: SocketAddr) -> String {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n",
        local.port()
    );
    format!(
        "INVITE sip:+84981234590@{remote} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {local};branch=z9hG4bK-one-busy-call;rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:+842471234567@{local}>;tag=caller\r\n\
         To: <sip:+84981234590@sandbox>\r\n\
         Call-ID: one-busy-call\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:caller@{local}>\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

#[test]
fn a_sandbox_whose_port_is_taken_says_so() {
    let nexo = Nexo::without_database();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = nexo.fail(1, &["sandbox", "--listen", &address]);
    assert!(error.contains(&address), "{error}");
}

#[test]
fn a_test_call_shows_its_ladder_and_needs_no_database() {
    let mut nexo = Nexo::without_database();
    nexo.set("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0");
    nexo.set("NEXO_SIP__RTP_PORTS", "0");
    nexo.set("NEXO_CALLS__REPEAT", "1");
    let call = nexo.json(&["call", "+84981234567", "482917"]);
    assert_eq!(
        (&call["status"], &call["error_code"]),
        (&"delivered".into(), &Value::Null)
    );
    assert_eq!(
        (&call["carrier"], &call["gateway"]),
        (&"viettel".into(), &"sandbox".into())
    );
    let ladder = call["ladder"].as_array().unwrap();
    let steps: Vec<(&str, &str)> = ladder
        .iter()
        .map(|rung| {
            (
                rung["direction"].as_str().unwrap(),
                rung["message"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        steps,
        [
            ("sent", "INVITE"),
            ("received", "100 Trying (INVITE)"),
            ("received", "180 Ringing (INVITE)"),
            ("received", "200 OK (INVITE)"),
            ("sent", "ACK"),
            ("sent", "BYE"),
            ("received", "200 OK (BYE)"),
        ]
    );
    assert!(!call.to_string().contains("482917"));
    assert!(!nexo.dir().join("data").exists(), "a database was made");

    let output = nexo
        .command(&["call", "+84981234590", "4829"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("<--  486 Busy Here (INVITE)"), "{text}");
    assert!(text.contains("result   failed: busy (busy)"), "{text}");
}

#[test]
fn a_test_call_that_cannot_be_placed_says_why() {
    let nexo = Nexo::without_database();
    for (arguments, error) in [
        (
            &["call", "0981234567", "4829"][..],
            "a phone starts with +84",
        ),
        (&["call", "+84981234567", "48"], "4 to 8 ASCII digits"),
        (
            &["call", "+84981234567", "4829", "--carrier", "x"],
            "allowed are viettel,",
        ),
        (
            &["call", "+84981234567", "4829", "--gateway", "x"],
            "no such gateway, but sandbox",
        ),
    ] {
        let said = nexo.fail(1, arguments);
        assert!(said.contains(error), "{said}");
    }
}
