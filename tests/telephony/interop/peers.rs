//! The external programs, and the queries and calls that tests run against them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::ports::free_ports;
use harness::recogniser::recognised;
use harness::{Backend, Customer, Gateway, answer, client, until};

pub const SOON: Duration = Duration::from_secs(30);
/// The phone's number in E.164 format.
pub const NUMBER: &str = "+84981234567";
pub const ACCOUNTS: [&str; 2] = ["0981234567", "0981234568"];
pub const OTHER_NUMBER: &str = "+84981234568";

/// An external program. Killed when dropped.
pub struct Peer {
    child: Child,
}

impl Peer {
    pub fn start(command: &mut Command, log: &Path) -> Peer {
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
        // Kamailio's workers end with their parent when it receives SIGTERM.
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

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < give_up, "{what}: timed out after {SOON:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a peer accepts TCP on this port. All peers open UDP and TCP together.
pub fn listens(port: u16, log: &Path) {
    wait_for("a peer listens", || {
        let connected = std::net::TcpStream::connect(("127.0.0.1", port));
        connected.ok().or_else(|| {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            assert!(!log.contains("ERROR: bad config"), "{log}");
            None
        })
    });
}

pub fn template(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/telephony/interop");
    std::fs::read_to_string(format!("{folder}/{name}")).unwrap()
}

pub fn write(path: PathBuf, text: &str) -> PathBuf {
    std::fs::write(&path, text).unwrap();
    path
}

/// The name in the certificate of a carrier that is reached by address.
pub const SBC_NAME: &str = "sbc.example.vn";

/// Creates a certificate authority and certificates in `folder`: for 127.0.0.1, for another address, for
/// [`SBC_NAME`] and for a client.
pub fn make_certificates(folder: &Path) {
    let script = r#"
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj "/CN=Test authority"
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj "/CN=127.0.0.1"
        printf "subjectAltName=IP:127.0.0.1\n" > names
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem
        cat server.pem server.key > server-and-key.pem
        openssl req -newkey rsa:2048 -nodes -keyout client.key -out client.csr -subj "/CN=nexo.example.vn"
        openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out client.pem
        printf "subjectAltName=IP:127.0.0.2\n" > other-names
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile other-names -out elsewhere.pem
        printf "subjectAltName=DNS:$1\n" > domain-names
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile domain-names -out named.pem
    "#;
    let made = Command::new("bash")
        .args(["-ec", script, "bash", SBC_NAME])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// A phone that answers automatically and records the audio.
pub struct Phone {
    pub port: u16,
    folder: tempfile::TempDir,
    _baresip: Peer,
}

impl Phone {
    pub fn start(more: &str) -> Phone {
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path());
        // Ports for SIP, SIP over TLS, and control commands.
        let port = free_ports(3);
        let rtp = free_ports(20);
        let modules = ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules"];
        let modules = modules.iter().find(|path| Path::new(path).exists());
        let config = template("baresip.config")
            .replace("PHONE_PORT", &port.to_string())
            .replace("ORDERS_PORT", &(port + 2).to_string())
            .replace("FOLDER", folder.path().to_str().unwrap())
            .replace("RTP_FIRST", &rtp.to_string())
            .replace("RTP_LAST", &(rtp + 19).to_string())
            .replace("MODULES", modules.expect("install Debian's package baresip-core"));
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
        Phone { port, folder, _baresip: peer }
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Presses a key on the phone during its call.
    pub fn press(&self, key: char) {
        use std::io::Write;

        let order = format!(r#"{{"command":"sndcode","params":"{key}"}}"#);
        let mut control = std::net::TcpStream::connect(("127.0.0.1", self.port + 2)).unwrap();
        // The control interface uses netstrings.
        write!(control, "{}:{order},", order.len()).unwrap();
        // The command is complete when the response arrives.
        let mut answer = [0; 500];
        let length = std::io::Read::read(&mut control, &mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.contains(r#""ok":true"#), "{answer}");
    }

    /// The codes that a separate recogniser finds in the recordings, in the order of the calls.
    pub fn recognised_codes(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let mut recordings: Vec<PathBuf> =
            files.filter(|path| path.to_str().unwrap().ends_with("-dec.wav")).collect();
        recordings.sort();
        recordings.iter().map(|path| recognised(path)).collect()
    }
}

/// A carrier's SBC in front of a phone.
pub struct Sbc {
    port: u16,
    folder: tempfile::TempDir,
    kamailio: Option<Peer>,
    /// The preprocessor defines of its configuration.
    defines: Vec<&'static str>,
}

impl Sbc {
    pub fn start(phone_port: u16) -> Sbc {
        Sbc::with_defines(phone_port, &[])
    }

    /// Starts an SBC with additional features, each a define of `kamailio.cfg`.
    pub fn with_defines(phone_port: u16, defines: &[&'static str]) -> Sbc {
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
        let mut sbc = Sbc { port, folder, kamailio: None, defines: defines.to_vec() };
        sbc.run();
        sbc
    }

    pub fn run(&mut self) {
        let folder = self.folder.path();
        let log = folder.join("log");
        let mut kamailio = Command::new("kamailio");
        kamailio
            .arg("-f")
            .arg(folder.join("kamailio.cfg"))
            .args(["-DD", "-E", "-m", "32", "-M", "8", "-A", "WITH_TLS", "-Y"])
            .arg(folder);
        for define in &self.defines {
            kamailio.args(["-A", define]);
        }
        self.kamailio = Some(Peer::start(&mut kamailio, &log));
        listens(self.port, &log);
    }

    pub fn stop(&mut self) {
        self.kamailio = None;
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The number of times this text was logged.
    pub fn log_count(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// The gateway's configuration table, with credentials and registration.
    pub fn gateway(&self, transport: &str, more: &str) -> String {
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

/// A configuration of carriers, one of which has this gateway.
pub fn carriers(gateway: &str) -> String {
    format!(r#"[{{name="viettel",caller_ids=["+842471234567"],gateways=[{gateway}]}}]"#)
}

pub fn start(gateway: &str) -> Gateway {
    let carriers = carriers(gateway);
    let settings = [("NEXO_CARRIERS", carriers.as_str()), ("NEXO_CALLS__REPEAT", "1")];
    Gateway::start(Backend::Sqlite, &settings)
}

pub async fn trunk(gateway: &Gateway) -> serde_json::Value {
    let page = gateway.metrics.replace("/metrics", "/trunks");
    let page = answer(client().get(page)).await.json;
    let carriers = page["carriers"].as_array().unwrap().clone();
    let mut viettel = carriers.into_iter().filter(|c| c["carrier"] == "viettel");
    viettel.next().unwrap()["gateways"][0].clone()
}

pub async fn is_registered(gateway: &Gateway) {
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

/// Waits for answers. A call that is not answered when the SBC stops has no audio yet and ends with it.
pub async fn are_answered(gateway: &Gateway, calls: u32) {
    soon("the calls are answered", async || {
        let answered = gateway.metric("nexo_calls_answered_total").await;
        (answered >= f64::from(calls)).then_some(())
    })
    .await;
}

/// Asserts that a call is refused and that the customer receives an error.
pub async fn assert_refused(customer: &Customer) {
    let sent = customer.send(NUMBER, "482917").await;
    assert_eq!((sent.status, sent.error()), (502, "no_route"), "{}", sent.text);
}

pub async fn deliver(customer: &Customer, code: &str) {
    // The phone's 30 s window does not matter here: each call uses a separate database.
    deliver_to(customer, NUMBER, code).await;
}

pub async fn deliver_to(customer: &Customer, number: &str, code: &str) {
    let sent = customer.send(number, code).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
}

/// Polls with the common time limit.
pub async fn soon<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until(what, SOON, look).await
}
