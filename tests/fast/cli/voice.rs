//! Tests of `nexo prompts`, `nexo sandbox`, `nexo call` and `nexo demo`.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::Value;

use super::nexo::Nexo;

#[test]
fn a_code_is_rendered_as_a_wav_file() {
    let nexo = Nexo::without_database();
    let render = |language: &str, out: &str| {
        let arguments = ["prompts", "render", "482917", "--language", language, "--out", out];
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
    assert!(error.starts_with("error: cannot write no/where.wav: "), "{error}");
    assert!(!error.contains("482917"), "{error}");
}

#[test]
fn the_sandbox_prints_its_address_answers_sip_and_exits_cleanly() {
    let nexo = Nexo::without_database();
    let mut sandbox = nexo.start(&["sandbox", "--listen", "127.0.0.1:0", "--json"]);
    let first: Value = serde_json::from_str(&sandbox.line()).unwrap();
    let address: SocketAddr = first["listen"].as_str().unwrap().parse().unwrap();

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
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
fn a_sandbox_reports_a_port_in_use() {
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
    assert_eq!((&call["status"], &call["error_code"]), (&"delivered".into(), &Value::Null));
    assert_eq!((&call["carrier"], &call["gateway"]), (&"viettel".into(), &"sandbox".into()));
    let ladder = call["ladder"].as_array().unwrap();
    let steps: Vec<(&str, &str)> = ladder
        .iter()
        .map(|rung| (rung["direction"].as_str().unwrap(), rung["message"].as_str().unwrap()))
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
    assert!(!nexo.dir().join("data").exists(), "a database was created");

    let output = nexo.command(&["call", "+84981234590", "4829"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("<--  486 Busy Here (INVITE)"), "{text}");
    assert!(text.contains("result   failed: busy (busy)"), "{text}");
}

#[test]
fn a_test_call_without_an_answer_prints_the_connection_error() {
    let mut nexo = Nexo::without_database();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Now the port refuses connections.
    drop(listener);
    let carriers = format!(
        r#"[{{name="viettel",gateways=[{{name="hn1",uri="sip:{address};transport=tcp"}}]}}]"#
    );
    nexo.set("NEXO_CARRIERS", &carriers);
    nexo.set("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0");
    nexo.set("NEXO_SIP__RTP_PORTS", "0");
    let call = ["call", "+84981234567", "4829"];
    let output = nexo.command(&call).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("  the connection failed: Connection refused"), "{text}");
    let output = nexo.command(&["--json", "call", call[1], call[2]]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let unanswered = &answer["unanswered"][0];
    assert_eq!(unanswered["place"], format!("tcp:{address}"), "{answer}");
    let error = unanswered["connection_error"].as_str().unwrap();
    assert!(error.contains("refused"), "{error}");
}

#[test]
fn a_test_call_that_cannot_be_placed_reports_the_reason() {
    let nexo = Nexo::without_database();
    for (code, arguments, error) in [
        (2, &["call", "0981234567", "4829"][..], "a phone number starts with +84"),
        (2, &["call", "+84981234567", "48"], "4 to 8 ASCII digits"),
        (2, &["demo", "0981234567"], "a phone number starts with +84"),
        (2, &["demo", "+84981234567", "48"], "4 to 8 ASCII digits"),
        (1, &["call", "+84981234567", "4829", "--carrier", "x"], "available: viettel,"),
        (
            1,
            &["call", "+84981234567", "4829", "--gateway", "x"],
            "no gateway 'x' for viettel; available: sandbox",
        ),
    ] {
        let stderr = nexo.fail(code, arguments);
        assert!(stderr.contains(error), "{stderr}");
    }
}

/// Writes a recording at 44.1 kHz: a tone in place of the spoken word.
pub(crate) fn record(file: &std::path::Path, hertz: f32) {
    const RATE: u32 = 44_100;
    let count = RATE as usize * 300 / 1000;
    let bytes = (count * 2) as u32;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    for (wide, value) in [(4, 16), (2, 1), (2, 1), (4, RATE), (4, RATE * 2), (2, 2), (2, 16)] {
        wav.extend(&value.to_le_bytes()[..wide]);
    }
    wav.extend(b"data");
    wav.extend(bytes.to_le_bytes());
    for n in 0..count {
        let phase = std::f32::consts::TAU * hertz * n as f32 / RATE as f32;
        wav.extend(((9_000.0 * phase.sin()) as i16).to_le_bytes());
    }
    std::fs::write(file, wav).unwrap();
}

/// The tone that represents a prompt, in Hz.
pub(crate) fn prompt_tone(name: &str) -> f32 {
    match name {
        "greeting" => 2_400.0,
        "again" => 2_600.0,
        "goodbye" => 2_800.0,
        "press-key" => 3_000.0,
        _ => match name.strip_prefix("slow-") {
            Some(digit) => 1_450.0 + 90.0 * digit.parse::<f32>().unwrap(),
            None => 450.0 + 90.0 * name.parse::<f32>().unwrap(),
        },
    }
}

const PHRASES: [&str; 4] = ["greeting", "again", "goodbye", "press-key"];

pub(crate) fn prompt_names() -> Vec<String> {
    let digits = (0..10).flat_map(|digit| [digit.to_string(), format!("slow-{digit}")]);
    digits.chain(PHRASES.map(str::to_owned)).collect()
}

/// The names of the prompts in a rendered WAV file, in playback order.
fn prompts_in(wav: &[u8]) -> Vec<String> {
    let samples: Vec<f32> = wav[44..]
        .chunks_exact(2)
        .map(|two| f32::from(i16::from_le_bytes([two[0], two[1]])))
        .collect();
    // The share of a tone in the energy of a piece.
    let share = |hertz: f32, piece: &[f32]| {
        let (mut re, mut im, mut energy) = (0.0, 0.0, 1.0);
        for (n, value) in piece.iter().enumerate() {
            let phase = std::f32::consts::TAU * hertz * n as f32 / 8_000.0;
            re += value * phase.cos();
            im += value * phase.sin();
            energy += value * value;
        }
        2.0 * (re * re + im * im) / (energy * piece.len() as f32)
    };
    let mut found: Vec<String> = Vec::new();
    let mut is_silent = true;
    for piece in samples.chunks_exact(800) {
        let names = prompt_names().into_iter();
        let loudest = names
            .max_by(|a, b| share(prompt_tone(a), piece).total_cmp(&share(prompt_tone(b), piece)));
        let loudest = loudest.filter(|name| share(prompt_tone(name), piece) > 0.8);
        if let Some(name) = &loudest
            && (is_silent || found.last() != Some(name))
        {
            found.push(name.clone());
        }
        is_silent = loudest.is_none();
    }
    found
}

#[test]
fn imported_recordings_replace_the_built_in_voice() {
    let mut nexo = Nexo::without_database();
    let error = nexo.fail(1, &["prompts", "import", "studio"]);
    assert!(error.contains("calls.voice_dir is not set"), "{error}");
    nexo.set("NEXO_CALLS__VOICE_DIR", "voice");
    let error = nexo.fail(1, &["prompts", "render", "482917", "--out", "x.wav"]);
    assert!(error.contains("voice holds no recordings"), "{error}");
    let error = nexo.fail(1, &["config", "check"]);
    assert!(error.contains("voice holds no recordings"), "{error}");
    for listen in ["NEXO_SERVER__LISTEN", "NEXO_METRICS__LISTEN"] {
        nexo.set(listen, "127.0.0.1:0");
    }
    let error = nexo.fail(1, &["serve"]);
    assert!(!nexo.dir().join("data").exists(), "a database was created");
    assert!(error.contains("calls.voice_dir: voice holds no recordings"), "{error}");

    let folder = nexo.dir().join("studio/vi");
    std::fs::create_dir_all(&folder).unwrap();
    for name in prompt_names() {
        record(&folder.join(format!("{name}.wav")), prompt_tone(&name));
    }
    let json = nexo.json(&["prompts", "import", "studio"]);
    assert_eq!(json["imported"], serde_json::json!([{ "language": "vi", "files": 24 }]));
    nexo.succeed(&["config", "check"]);
    nexo.succeed(&["prompts", "render", "40872", "--language", "vi", "--out", "x.wav"]);
    let wav = std::fs::read(nexo.dir().join("x.wav")).unwrap();
    let expected = [
        "greeting", "4", "0", "8", "7", "2", "again", "slow-4", "slow-0", "slow-8", "slow-7",
        "slow-2", "goodbye",
    ];
    assert_eq!(prompts_in(&wav), expected);

    std::fs::remove_file(folder.join("6.wav")).unwrap();
    let error = nexo.fail(1, &["prompts", "import", "studio"]);
    assert!(error.contains("studio/vi/6.wav is missing"), "{error}");
    nexo.succeed(&["prompts", "render", "40872", "--language", "vi", "--out", "y.wav"]);
    assert_eq!(std::fs::read(nexo.dir().join("y.wav")).unwrap(), wav);
}

/// The sandbox carrier recognises codes in the configured voice.
#[test]
fn a_call_plays_the_recordings() {
    let mut nexo = Nexo::without_database();
    nexo.set("NEXO_CALLS__VOICE_DIR", "voice");
    let folder = nexo.dir().join("studio/vi");
    std::fs::create_dir_all(&folder).unwrap();
    for name in prompt_names() {
        // The built-in voice serves as the studio recording.
        record_built_in(&folder.join(format!("{name}.wav")), &name);
    }
    nexo.succeed(&["prompts", "import", "studio"]);
    nexo.set("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0");
    nexo.set("NEXO_SIP__RTP_PORTS", "0");
    let result = nexo.json(&["demo", "+84981234567", "482917"]);
    assert_eq!(result["ok"], true, "{result}");
    assert_eq!(result["digits_heard"], "482917", "{result}");
    assert_eq!(result["webhook"]["body"]["type"], "otp.delivered", "{result}");
    let steps = result["timeline"].as_array().unwrap();
    assert_eq!(steps[0]["what"], "the carrier receives the INVITE", "{result}");
    assert!(nexo.dir().join("demo-call.wav").exists());
    // Bodies are shown as they were received, in the order of the reference.
    let text = nexo.succeed(&["demo", "+84981234567", "4829", "--save", "again.wav"]);
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
    for (start, keys) in [
        ("response 202", &["ok", "id", "carrier", "status", "cost", "balance", "total"][..]),
        ("webhook  ", &["type", "id", "phone", "carrier", "status", "cost", "error_code"]),
        ("delivery ", &["ok", "id", "phone", "carrier", "status", "cost", "error_code"]),
    ] {
        let places: Vec<_> =
            keys.iter().map(|key| line(start).find(&format!("\"{key}\":"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}", line(start));
    }
}

/// Writes a built-in prompt as a recording.
fn record_built_in(file: &std::path::Path, name: &str) {
    use nexo_domain::otp::Language;
    let set = nexo_voice::speech::prompts::PromptSet::built_in();
    let [greeting, again, goodbye] = set.phrase_samples(Language::Vi);
    let samples = match name {
        "greeting" | "press-key" => greeting,
        "again" => again,
        "goodbye" => goodbye,
        _ => {
            let digit = name.trim_start_matches("slow-");
            set.digit_samples(Language::Vi, digit.parse().unwrap(), digit != name)
        }
    };
    nexo_voice::audio::wav::write(file, &samples).unwrap();
}
