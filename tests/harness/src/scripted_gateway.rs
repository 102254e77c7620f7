//! A carrier's gateway whose answers a script decides. It records each request that it receives.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::until;

/// How long a test waits for a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The status code and additional header fields of each answer to a request.
pub type Script = fn(&ReceivedRequest) -> Vec<(u16, String)>;

/// A received request.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    pub method: String,
    pub text: String,
    pub at: Instant,
}

impl ReceivedRequest {
    /// The value of the first header field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.text.lines();
        lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub struct ScriptedGateway {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    is_silent: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl ScriptedGateway {
    pub fn start(script: Script) -> ScriptedGateway {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let gateway = ScriptedGateway {
            address: socket.local_addr().unwrap(),
            requests: Arc::default(),
            is_silent: Arc::default(),
            stop: Arc::default(),
        };
        let requests = Arc::clone(&gateway.requests);
        let (is_silent, stop) = (Arc::clone(&gateway.is_silent), Arc::clone(&gateway.stop));
        std::thread::spawn(move || {
            let mut buffer = [0; 65_535];
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let method = text.split(' ').next().unwrap().to_owned();
                if method.starts_with("SIP/") || is_silent.load(Ordering::Relaxed) {
                    continue;
                }
                let request = ReceivedRequest { method, text, at: Instant::now() };
                let answers = script(&request);
                // Recorded before the answers are sent, so that a test that has an answer sees the request.
                requests.lock().unwrap().push(request.clone());
                for (code, fields) in answers {
                    // Fails if the tested process was just killed.
                    let _ = socket.send_to(response(&request, code, &fields).as_bytes(), from);
                }
            }
        });
        gateway
    }

    /// Rings and answers INVITE with 486. Accepts registrations and probes.
    pub fn busy() -> ScriptedGateway {
        ScriptedGateway::start(busy)
    }

    /// Sends 180 to INVITE and never a final response; accepts CANCEL.
    pub fn ringing() -> ScriptedGateway {
        ScriptedGateway::start(|request| match request.method.as_str() {
            "INVITE" => vec![(180, String::new())],
            _ => busy(request),
        })
    }

    /// Records requests and never answers.
    pub fn silent() -> ScriptedGateway {
        ScriptedGateway::start(|_| vec![])
    }

    /// Its entry in a list of gateways of the configuration, with `more` settings.
    pub fn inline_table(&self, name: &str, priority: u16, more: &str) -> String {
        let address = self.address;
        format!(r#"{{name="{name}",uri="sip:{address}",priority={priority},{more}}}"#)
    }

    /// Its table in the configuration file, with `more` settings.
    pub fn table(&self, name: &str, more: &str) -> String {
        let address = self.address;
        format!("[[carriers.gateways]]\nname = \"{name}\"\nuri = \"sip:{address}\"\n{more}\n")
    }

    /// Makes it ignore all requests, without a record of them.
    pub fn set_silent(&self, silent: bool) {
        self.is_silent.store(silent, Ordering::Relaxed);
    }

    /// The requests of this method, retransmissions included.
    pub fn requests(&self, method: &str) -> Vec<ReceivedRequest> {
        let requests = self.requests.lock().unwrap();
        let requests = requests.iter().filter(|request| request.method == method);
        requests.cloned().collect()
    }

    /// Waits until this number of requests was received.
    pub async fn wait_for_requests(&self, method: &str, times: usize) -> Vec<ReceivedRequest> {
        until(&format!("{times} {method}"), REQUEST_TIMEOUT, async || {
            let requests = self.requests(method);
            (requests.len() >= times).then_some(requests)
        })
        .await
    }
}

impl Drop for ScriptedGateway {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The script of [`ScriptedGateway::busy`].
pub fn busy(request: &ReceivedRequest) -> Vec<(u16, String)> {
    match request.method.as_str() {
        "INVITE" => vec![(180, String::new()), (486, String::new())],
        "ACK" => vec![],
        "REGISTER" => {
            let contact = request.field("Contact").unwrap_or_default();
            vec![(200, format!("Contact: {contact};expires=3600\r\n"))]
        }
        _ => vec![(200, String::new())],
    }
}

fn response(request: &ReceivedRequest, code: u16, fields: &str) -> String {
    let copied = |name: &str| {
        let value = request.field(name).unwrap_or_default();
        match name == "To" && code > 100 && !value.contains("tag=") {
            true => format!("{name}: {value};tag=far\r\n"),
            false => format!("{name}: {value}\r\n"),
        }
    };
    let head: String = ["Via", "From", "To", "Call-ID", "CSeq"].map(copied).concat();
    format!("SIP/2.0 {code} Said\r\n{head}{fields}Content-Length: 0\r\n\r\n")
}
