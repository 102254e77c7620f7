//! Peers that are not ours: Kamailio as a carrier's registrar and SBC, baresip as a phone that records,
//! and a recogniser of another make that listens to the recording.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::ports::free_ports;
use harness::{Backend, Customer, Gateway, answer, client};

const SOON: Duration = Duration::from_secs(30);
/// The phone's numbers, and how the carrier wants them.
const NUMBER: &str = "+84981234567";
const ACCOUNTS: [&str; 2] = ["0981234567", "0981234568"];
const OTHER_NUMBER: &str = "+84981234568";

/// A program that is not ours. Killed when dropped.
struct Peer {
    child: Child,
}

impl Peer {
    fn start(command: &mut Command, log: &Path) -> Peer {
        let log = std::fs::File::create(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Peer { child }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Kamailio's workers end with their parent, when that is asked to.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < give_up, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until somebody listens for TCP there: all peers listen for UDP and TCP together.
fn listens(port: u16, log: &Path) {
    until("a peer listens", || {
        let connected = std::net::TcpStream::connect(("127.0.0.1", port));
        connected.ok().or_else(|| {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            assert!(!log.contains("ERROR: bad config"), "{log}");
            None
        })
    });
}

fn template(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop");
    std::fs::read_to_string(format!("{folder}/{name}")).unwrap()
}

fn write(path: PathBuf, text: &str) -> PathBuf {
    std::fs::write(&path, text).unwrap();
    path
}

/// An authority and a certificate for 127.0.0.1, as files in `folder`.
fn make_certificates(folder: &Path) {
    let script = r#"
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj "/CN=Test authority"
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj "/CN=127.0.0.1"
        printf "subjectAltName=IP:127.0.0.1\n" > names
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem
        cat server.pem server.key > server-and-key.pem
    "#;
    let made = Command::new("bash")
        .args(["-ec", script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// A phone that answers by itself and records what it hears.
struct Phone {
    port: u16,
    folder: tempfile::TempDir,
    _baresip: Peer,
}

impl Phone {
    fn start(more: &str) -> Phone {
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path());
        let port = free_ports(2);
        let rtp = free_ports(20);
        let modules = [
            "/usr/lib/baresip/modules",
            "/usr/lib/x86_64-linux-gnu/baresip/modules",
        ];
        let modules = modules.iter().find(|path| Path::new(path).exists());
        let config = template("baresip.config")
            .replace("PHONE_PORT", &port.to_string())
            .replace("FOLDER", folder.path().to_str().unwrap())
            .replace("RTP_FIRST", &rtp.to_string())
            .replace("RTP_LAST", &(rtp + 19).to_string())
            .replace(
                "MODULES",
                modules.expect("install Debian's package baresip-core"),
            );
        write(folder.path().join("config"), &config);
        let account =
            |user: &str| format!("<sip:{user}@127.0.0.1:{port}>;regint=0;answermode=auto{more}\n");
        let accounts = ACCOUNTS.map(account).concat();
        write(folder.path().join("accounts"), &accounts);
        write(folder.path().join("contacts"), "");
        let log = folder.path().join("log");
        let mut baresip = Command::new("baresip");
        baresip.arg("-f").arg(folder.path());
        let peer = Peer::start(&mut baresip, &log);
        listens(port, &log);
        Phone {
            port,
            folder,
            _baresip: peer,
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// What a recogniser of another make hears in its recordings, in the order of the calls.
    fn heard(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let mut recordings: Vec<PathBuf> = files
            .filter(|path| path.to_str().unwrap().ends_with("-dec.wav"))
            .collect();
        recordings.sort();
        recordings.iter().map(|path| recognised(path)).collect()
    }
}

fn recognised(recording: &Path) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/voice/recognise.py");
    let output = Command::new(python())
        .arg(script)
        .arg(recording)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{error}"));
    let readings = json["readings"].as_array().unwrap();
    let readings = readings.iter().map(|reading| reading.as_str().unwrap());
    readings.collect::<Vec<_>>().join(" ")
}

fn python() -> String {
    std::env::var("NEXO_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// A carrier's SBC in front of a phone.
struct Sbc {
    port: u16,
    folder: tempfile::TempDir,
    kamailio: Option<Peer>,
}

impl Sbc {
    fn start(phone_port: u16) -> Sbc {
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path());
        let port = free_ports(2);
        let config = template("kamailio.cfg")
            .replace("SIP_PORT", &port.to_string())
            .replace("TLS_PORT", &(port + 1).to_string())
            .replace("PHONE_PORT", &phone_port.to_string())
            .replace("PHONE_TRANSPORT", "udp")
            .replace("TLS_DIR", folder.path().to_str().unwrap());
        write(folder.path().join("kamailio.cfg"), &config);
        let mut sbc = Sbc {
            port,
            folder,
            kamailio: None,
        };
        sbc.run();
        sbc
    }

    fn run(&mut self) {
        let folder = self.folder.path();
        let log = folder.join("log");
        let mut kamailio = Command::new("kamailio");
        kamailio
            .arg("-f")
            .arg(folder.join("kamailio.cfg"))
            .args(["-DD", "-E", "-m", "32", "-M", "8", "-A", "WITH_TLS", "-Y"])
            .arg(folder);
        self.kamailio = Some(Peer::start(&mut kamailio, &log));
        listens(self.port, &log);
    }

    fn stop(&mut self) {
        self.kamailio = None;
    }

    /// The gateway's table: who we are, and that we register.
    fn gateway(&self, transport: &str, more: &str) -> String {
        let port = match transport {
            "tls" => self.port + 1,
            _ => self.port,
        };
        let authority = self.folder.path().join("ca.pem");
        format!(
            r#"{{name="sbc",uri="sip:127.0.0.1:{port};transport={transport}",username="nexo",password="s3cret",realm="carrier.example.vn",register=true,options_ping_seconds=1,number_format="national",tls_ca="{}"{more}}}"#,
            authority.display()
        )
    }
}

fn start(gateway: &str) -> Gateway {
    let carriers =
        format!(r#"[{{name="viettel",caller_ids=["+842471234567"],gateways=[{gateway}]}}]"#);
    let settings = [
        ("NEXO_CARRIERS", carriers.as_str()),
        ("NEXO_CALLS__REPEAT", "1"),
    ];
    Gateway::start(Backend::Sqlite, &settings)
}

async fn trunk(gateway: &Gateway) -> serde_json::Value {
    let page = gateway.metrics.replace("/metrics", "/trunks");
    let page = answer(client().get(page)).await.json;
    let carriers = page["carriers"].as_array().unwrap().clone();
    let mut viettel = carriers.into_iter().filter(|c| c["carrier"] == "viettel");
    viettel.next().unwrap()["gateways"][0].clone()
}

async fn is_registered(gateway: &Gateway) {
    let give_up = Instant::now() + SOON;
    loop {
        let trunk = trunk(gateway).await;
        if trunk["registered"] == true && trunk["reachable"] == true {
            return;
        }
        assert!(Instant::now() < give_up, "not registered: {trunk:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A call whose answer has not come when the SBC goes has no audio yet: it ends with it.
async fn are_answered(gateway: &Gateway, calls: u32) {
    until_async("the calls are answered", async || {
        let answered = gateway.metric("nexo_calls_answered_total").await;
        (answered >= f64::from(calls)).then_some(())
    })
    .await;
}

async fn deliver(customer: &Customer, code: &str) {
    // The phone's window of 30 s is not what is tested here: each call has a customer's own database.
    let sent = customer.send(NUMBER, code).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
}

#[tokio::test]
async fn a_phone_records_the_code_by_udp_tcp_and_tls_and_protected() {
    let phone = Phone::start(";mediaenc=srtp");
    let authority = phone.file("ca.pem");
    let mut codes = Vec::new();
    for (transport, port, srtp, code) in [
        ("udp", phone.port, false, "482917"),
        ("tcp", phone.port, false, "00551"),
        ("tls", phone.port + 1, false, "73916482"),
        ("tls", phone.port + 1, true, "9027"),
        ("udp", phone.port, true, "31856"),
    ] {
        let gateway = start(&format!(
            r#"{{name="phone",uri="sip:127.0.0.1:{port};transport={transport}",number_format="national",srtp={srtp},tls_ca="{authority}",options_ping_seconds=0}}"#
        ));
        let customer = gateway.customer("a@example.com", "10.00");
        deliver(&customer, code).await;
        gateway.audit();
        codes.push(code);
    }
    assert_eq!(phone.heard(), codes);
}

#[tokio::test]
async fn an_sbc_registers_us_challenges_us_and_hands_our_calls_on() {
    let phone = Phone::start("");
    let sbc = Sbc::start(phone.port);
    let mut codes = Vec::new();
    for (transport, code) in [("udp", "482917"), ("tcp", "8264"), ("tls", "51903")] {
        let mut gateway = start(&sbc.gateway(transport, ""));
        is_registered(&gateway).await;
        let customer = gateway.customer("a@example.com", "10.00");
        deliver(&customer, code).await;
        gateway.audit();
        assert_eq!(gateway.terminate(), Some(0));
        codes.push(code);
    }
    assert_eq!(phone.heard(), codes);
}

#[tokio::test]
async fn a_wrong_password_is_refused_once_and_named_to_the_operator() {
    let phone = Phone::start("");
    let sbc = Sbc::start(phone.port);
    let gateway = start(&sbc.gateway("udp", "").replace("s3cret", "wrong"));
    let trunk = until_async("the registration is refused", async || {
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
    let sent = customer.send(NUMBER, "482917").await;
    assert_eq!(
        (sent.status, sent.error()),
        (502, "no_route"),
        "{}",
        sent.text
    );
    assert!(phone.heard().is_empty());
}

#[tokio::test]
async fn an_sbc_that_is_restarted_during_traffic_comes_back_by_itself() {
    let phone = Phone::start("");
    let mut sbc = Sbc::start(phone.port);
    let gateway = start(&sbc.gateway("udp", ""));
    is_registered(&gateway).await;
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(NUMBER, "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    are_answered(&gateway, 1).await;
    sbc.stop();
    let down = until_async("the SBC is seen to be down", async || {
        let trunk = trunk(&gateway).await;
        (trunk["reachable"] == false).then_some(trunk)
    })
    .await;
    assert_eq!(down["last_failure"]["what"], "no answer to a probe");
    sbc.run();
    // The call in progress has its audio beside the SBC: it was read to its end.
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
    is_registered(&gateway).await;
    // Another number, since the first has its window.
    let sent = customer.send(OTHER_NUMBER, "7305").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
    gateway.audit();
    assert_eq!(gateway.metric("nexo_internal_errors_total").await, 0.0);
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
    let sent = customer.send(NUMBER, "482917").await;
    assert_eq!(
        (sent.status, sent.error()),
        (502, "no_route"),
        "{}",
        sent.text
    );
    until_async("a call gets through", async || {
        (customer.send(NUMBER, "482917").await.status == 202).then_some(())
    })
    .await;
    gateway.audit();
}

/// SIPp as many phones at once, behind the SBC.
fn phones(folder: &Path, calls: usize) -> (Peer, u16) {
    let port = free_ports(2);
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sipp/behind-sbc.xml");
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
                until_async("the SBC is seen to be down", async || {
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

async fn until_async<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + SOON;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < give_up, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn the_recogniser_tells_what_was_said_from_what_was_not() {
    let output = Command::new(python())
        .args(["-m", "unittest", "-q"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/voice"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
}
