//! The sandbox carrier's numbers, called with SIP and RTP over loopback by a scripted caller that shares no
//! code with the sandbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use nexo_voice::sandbox::{CallRecord, Party, Sandbox, SandboxConfig, SandboxError, SandboxEvent};
use tokio::net::UdpSocket;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

/// Far longer than any step takes on a busy machine; only a failure reaches it.
const TIMEOUT: Duration = Duration::from_secs(20);
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn config() -> SandboxConfig {
    let mut config = SandboxConfig::new((LOOPBACK, 0).into());
    config.ring = Duration::from_millis(100);
    config
}

/// A caller with one call.
struct Caller {
    sip: UdpSocket,
    rtp: UdpSocket,
    sandbox: SocketAddr,
    /// The R-URI's user part.
    user: String,
    call_id: String,
    remote_tag: String,
}

impl Caller {
    async fn of(sandbox: &Sandbox, user: &str, call_id: &str) -> Caller {
        Caller {
            sip: UdpSocket::bind((LOOPBACK, 0)).await.unwrap(),
            rtp: UdpSocket::bind((LOOPBACK, 0)).await.unwrap(),
            sandbox: sandbox.local_addr(),
            user: user.into(),
            call_id: call_id.into(),
            remote_tag: String::new(),
        }
    }

    fn port(&self) -> u16 {
        self.sip.local_addr().unwrap().port()
    }

    async fn request(&self, method: &str, branch: &str, cseq: u32, body: &str) {
        let (user, port, sandbox) = (&self.user, self.port(), self.sandbox);
        let to_tag = match self.remote_tag.as_str() {
            "" => String::new(),
            tag => format!(";tag={tag}"),
        };
        let cseq_method = method;
        let text = format!(
            "{method} sip:{user}@{sandbox} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK{branch}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:+842471234567@127.0.0.1:{port}>;tag=caller\r\n\
             To: <sip:{user}@{sandbox}>{to_tag}\r\n\
             Call-ID: {}\r\n\
             CSeq: {cseq} {cseq_method}\r\n\
             Contact: <sip:gateway@127.0.0.1:{port}>\r\n\
             Content-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.call_id,
            body.len()
        );
        let sent = self.sip.send_to(text.as_bytes(), self.sandbox).await;
        sent.unwrap();
    }

    async fn invite(&self) {
        self.invite_offering("8 0").await;
    }

    async fn invite_offering(&self, formats: &str) {
        let port = self.rtp.local_addr().unwrap().port();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {formats}\r\na=ptime:20\r\n"
        );
        self.request("INVITE", "invite", 1, &sdp).await;
    }

    /// The next message as text.
    async fn message(&self) -> String {
        let mut datagram = [0; 4000];
        let received = timeout(TIMEOUT, self.sip.recv(&mut datagram)).await;
        let length = received.expect("a message in time").unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    /// The next answer's code and method. Stores its To tag.
    async fn answer(&mut self) -> (u16, String) {
        let text = self.message().await;
        let code = text.split(' ').nth(1).unwrap().parse().unwrap();
        let cseq = header(&text, "CSeq");
        if let Some((_, tag)) = header(&text, "To").split_once(";tag=") {
            self.remote_tag = tag.into();
        }
        (code, cseq.split(' ').nth(1).unwrap().into())
    }

    /// All codes of the INVITE's answers up to the final one. Acknowledges a failure.
    async fn codes(&mut self) -> Vec<u16> {
        let mut codes = Vec::new();
        loop {
            let (code, method) = self.answer().await;
            assert_eq!(method, "INVITE");
            codes.push(code);
            if code >= 300 {
                self.request("ACK", "invite", 1, "").await;
            }
            if code >= 200 {
                return codes;
            }
        }
    }

    /// Places a call that is answered. Returns the callee's RTP address.
    async fn call_until_answered(&mut self) -> SocketAddr {
        self.invite().await;
        for expected in [100, 180] {
            assert_eq!(self.answer().await.0, expected);
        }
        let text = self.message().await;
        assert!(text.starts_with("SIP/2.0 200 "), "{text}");
        self.remote_tag = header(&text, "To").split_once(";tag=").unwrap().1.into();
        self.request("ACK", "ack", 1, "").await;
        let port = text.split("m=audio ").nth(1).unwrap();
        let port = port.split(' ').next().unwrap().parse().unwrap();
        (LOOPBACK, port).into()
    }

    async fn hang_up(&mut self) {
        self.request("BYE", "bye", 2, "").await;
        assert_eq!(self.answer().await, (200, "BYE".into()));
    }

    /// Sends `count` packets of `payload` at once and checks that audio comes back.
    async fn speak(&self, to: SocketAddr, payload: [u8; 160], count: u16) {
        for n in 0..count {
            let mut packet = vec![0x80, 8];
            packet.extend(n.to_be_bytes());
            packet.extend((u32::from(n) * 160).to_be_bytes());
            packet.extend([0, 0, 0, 9]);
            packet.extend(payload);
            self.rtp.send_to(&packet, to).await.unwrap();
        }
        let mut datagram = [0; 400];
        let received = timeout(TIMEOUT, self.rtp.recv_from(&mut datagram)).await;
        assert_eq!(received.expect("audio comes back").unwrap(), (172, to));
    }
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("{name} in {text}"))
}

/// A square wave of 1 kHz in A-law.
fn buzz() -> [u8; 160] {
    std::array::from_fn(|n| if n % 8 < 4 { 0xAA } else { 0x2A })
}

async fn finished(events: &mut Receiver<SandboxEvent>) -> (Vec<SandboxEvent>, CallRecord) {
    let mut before = Vec::new();
    loop {
        let event = timeout(TIMEOUT, events.recv()).await;
        match event.expect("the call is finished in time").unwrap() {
            SandboxEvent::Finished { record, .. } => return (before, (*record).clone()),
            event => before.push(event),
        }
    }
}

#[tokio::test]
async fn refusing_numbers_refuse_in_their_own_way() {
    let sandbox = Sandbox::start(config()).await.unwrap();
    for (user, codes) in [
        ("+84981234590", &[100, 486][..]),
        ("84981234592", &[100, 180, 603]),
        ("0981234593", &[100, 404]),
        ("+84981234594", &[100, 480]),
        ("+84981234595", &[503]),
        ("+84981234596", &[503]),
        ("+84981234567890", &[404]),
        ("operator", &[404]),
    ] {
        let mut events = sandbox.subscribe();
        let mut caller = Caller::of(&sandbox, user, user).await;
        caller.invite().await;
        assert_eq!(caller.codes().await, codes, "{user}");
        if codes != [404] {
            let (_, record) = finished(&mut events).await;
            assert_eq!(&*record.call_id, user);
            assert!(!record.answered && record.wav.is_none());
        }
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_throttled_caller_receives_a_retry_after() {
    let sandbox = Sandbox::start(config()).await.unwrap();
    let caller = Caller::of(&sandbox, "0981234596", "throttled").await;
    caller.invite().await;
    let text = caller.message().await;
    assert!(text.starts_with("SIP/2.0 503 "), "{text}");
    assert_eq!(header(&text, "Retry-After"), "17");
}

#[tokio::test]
async fn a_ringing_number_rings_until_it_is_cancelled() {
    let sandbox = Sandbox::start(config()).await.unwrap();
    let mut events = sandbox.subscribe();
    let mut caller = Caller::of(&sandbox, "0981234591", "ringing").await;
    caller.invite().await;
    assert_eq!(caller.answer().await.0, 100);
    assert_eq!(caller.answer().await.0, 180);
    caller.remote_tag.clear();
    caller.request("CANCEL", "invite", 1, "").await;
    assert_eq!(caller.answer().await, (200, "CANCEL".into()));
    assert_eq!(caller.codes().await, [487]);
    let (events_before, record) = finished(&mut events).await;
    assert!(matches!(events_before[2], SandboxEvent::Cancelled { .. }), "{events_before:?}");
    assert!(!record.answered);
}

#[tokio::test]
async fn a_silent_number_never_responds() {
    let sandbox = Sandbox::start(config()).await.unwrap();
    let mut silent = Caller::of(&sandbox, "0981234597", "silent").await;
    silent.invite().await;
    silent.invite().await;
    // During a whole call, the same socket receives other answers.
    let mut other = Caller::of(&sandbox, "0981234592", "other").await;
    other.invite().await;
    assert_eq!(other.codes().await.len(), 3);
    silent.request("OPTIONS", "options", 2, "").await;
    assert_eq!(silent.answer().await, (200, "OPTIONS".into()));
}

#[tokio::test]
async fn an_impatient_number_hangs_up_after_a_second() {
    let sandbox = Sandbox::start(config()).await.unwrap();
    let mut events = sandbox.subscribe();
    let mut caller = Caller::of(&sandbox, "0981234598", "impatient").await;
    caller.call_until_answered().await;
    let bye = caller.message().await;
    let uri = format!("BYE sip:gateway@127.0.0.1:{} SIP/2.0", caller.port());
    assert!(bye.starts_with(&uri), "{bye}");
    assert!(header(&bye, "From").ends_with(&caller.remote_tag), "{bye}");
    assert!(header(&bye, "To").ends_with(";tag=caller"), "{bye}");
    let mut answer = String::from("SIP/2.0 200 OK\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        answer += &format!("{name}: {}\r\n", header(&bye, name));
    }
    answer += "Content-Length: 0\r\n\r\n";
    caller.sip.send_to(answer.as_bytes(), caller.sandbox).await.unwrap();
    let (events_before, record) = finished(&mut events).await;
    let by = |event: &SandboxEvent| matches!(event, SandboxEvent::HungUp { by: Party::Callee, .. });
    assert!(events_before.iter().any(by), "{events_before:?}");
    assert!(record.answered);
    assert!((1000..1500).contains(&record.talk_time.as_millis()), "{record:?}");
}

#[tokio::test]
async fn a_voicemail_box_greets_and_beeps() {
    let sandbox = Sandbox::start(config()).await.unwrap();
    let mut caller = Caller::of(&sandbox, "0981234599", "voicemail").await;
    caller.call_until_answered().await;
    let mut datagram = [0; 400];
    let (mut loud, mut quiet_after) = (0, 0);
    while quiet_after < 10 {
        let received = timeout(TIMEOUT, caller.rtp.recv(&mut datagram)).await;
        assert_eq!(received.expect("audio comes").unwrap(), 172);
        let silent = datagram[12..172].iter().all(|b| *b == 0xD5 || *b == 0x55);
        match silent {
            true if loud > 160 => quiet_after += 1,
            true => {}
            false => loud += 1,
        }
    }
    assert_eq!(loud, 175, "3 s of greeting and a beep of half a second");
    caller.hang_up().await;
}

#[tokio::test]
async fn a_listening_number_records_what_it_receives() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.record_dir = Some(dir.path().join("calls"));
    let sandbox = Sandbox::start(config).await.unwrap();
    let mut events = sandbox.subscribe();
    let mut caller = Caller::of(&sandbox, "0981234567", "../a call").await;
    let far_end = caller.call_until_answered().await;
    caller.speak(far_end, buzz(), 50).await;
    caller.hang_up().await;
    let (events_before, record) = finished(&mut events).await;
    let names: Vec<_> = events_before.iter().map(|event| format!("{event:?}")).collect();
    let expected = ["Invited", "Ringing", "Answered", "HungUp"].map(|n| format!("{n}(../a call)"));
    assert_eq!(names, expected);
    assert_eq!(record.phone.to_string(), "+84981234567");
    assert_eq!(record.digits_heard, "");
    let wav = record.wav.clone().unwrap();
    assert_eq!(wav.parent(), Some(dir.path().join("calls").as_path()));
    assert_eq!(loud_samples(&wav), 8000);
    let facts = std::fs::read_to_string(wav.with_extension("json")).unwrap();
    assert!(
        facts.starts_with(
            "{\"phone\":\"+84981234567\",\"digits_heard\":\"\",\"answered\":true,\"seconds\":"
        ),
        "{facts}"
    );
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_lossy_path_leaves_gaps_in_the_audio() {
    let mut config = config();
    config.loss_percent = 60;
    config.listen_to_calls = true;
    let sandbox = Sandbox::start(config).await.unwrap();
    let mut events = sandbox.subscribe();
    let mut caller = Caller::of(&sandbox, "0981234567", "lossy").await;
    let far_end = caller.call_until_answered().await;
    caller.speak(far_end, buzz(), 50).await;
    caller.hang_up().await;
    let (_, record) = finished(&mut events).await;
    let loud = record.samples.iter().filter(|s| s.abs() > 1000).count();
    assert!((160..6_000).contains(&loud), "{loud} of 8000 samples");
}

fn loud_samples(wav: &Path) -> usize {
    let mut reader = hound::WavReader::open(wav).unwrap();
    let samples = reader.samples::<i16>().map(Result::unwrap);
    samples.filter(|s| s.abs() > 1000).count()
}

#[tokio::test]
async fn an_offer_without_a_common_codec_is_not_acceptable() {
    let sandbox = Sandbox::start(config()).await.unwrap();
    let mut caller = Caller::of(&sandbox, "0981234567", "codecs").await;
    caller.invite_offering("18 101").await;
    assert_eq!(caller.codes().await, [488]);
}

#[tokio::test]
async fn other_requests_are_answered_according_to_rfc_3261() {
    let sandbox = Sandbox::start(config()).await.unwrap();
    let mut caller = Caller::of(&sandbox, "0981234567", "others").await;
    caller.request("OPTIONS", "a", 1, "").await;
    assert_eq!(caller.answer().await, (200, "OPTIONS".into()));
    caller.remote_tag.clear();
    caller.request("REGISTER", "b", 2, "").await;
    let text = caller.message().await;
    assert!(text.starts_with("SIP/2.0 405 "), "{text}");
    assert!(header(&text, "Allow").contains("INVITE"));
    caller.remote_tag = "unknown".into();
    caller.request("BYE", "c", 3, "").await;
    assert_eq!(caller.answer().await, (481, "BYE".into()));
    caller.request("CANCEL", "d", 4, "").await;
    assert_eq!(caller.answer().await, (481, "CANCEL".into()));
    caller.sip.send_to(b"nonsense", caller.sandbox).await.unwrap();
    caller.request("OPTIONS", "e", 5, "").await;
    assert_eq!(caller.answer().await.1, "OPTIONS");
}

#[tokio::test]
async fn a_sandbox_that_stops_hangs_up_and_saves_its_calls() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.record_dir = Some(dir.path().into());
    let sandbox = Sandbox::start(config).await.unwrap();
    let mut caller = Caller::of(&sandbox, "0981234567", "stopped").await;
    let far_end = caller.call_until_answered().await;
    caller.speak(far_end, buzz(), 10).await;
    sandbox.shutdown().await;
    assert!(caller.message().await.starts_with("BYE "));
    assert_eq!(loud_samples(&dir.path().join("stopped.wav")), 1600);
    assert!(dir.path().join("stopped.json").exists());
}

#[tokio::test]
async fn a_sandbox_that_cannot_start_reports_why() {
    let first = Sandbox::start(config()).await.unwrap();
    let taken = SandboxConfig::new(first.local_addr());
    let error = Sandbox::start(taken).await.err().unwrap();
    assert!(matches!(error, SandboxError::Listen { .. }), "{error}");

    let file = tempfile::NamedTempFile::new().unwrap();
    let mut config = config();
    config.record_dir = Some(file.path().into());
    let error = Sandbox::start(config.clone()).await.err().unwrap();
    assert!(matches!(error, SandboxError::RecordDir { .. }), "{error}");

    config.record_dir = None;
    config.loss_percent = 101;
    let error = Sandbox::start(config).await.err().unwrap();
    assert!(matches!(error, SandboxError::Loss(101)), "{error}");
}
