//! A carrier's gateway that answers every INVITE with 486 Busy Here. It answers OPTIONS and accepts every
//! REGISTER, until a test makes it ignore all requests.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

pub struct BusyGateway {
    pub address: SocketAddr,
    invites: Arc<AtomicUsize>,
    ignores_requests: Arc<AtomicBool>,
    is_stopped: Arc<AtomicBool>,
}

impl BusyGateway {
    pub fn start() -> BusyGateway {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let gateway = BusyGateway {
            address: socket.local_addr().unwrap(),
            invites: Arc::default(),
            ignores_requests: Arc::default(),
            is_stopped: Arc::default(),
        };
        let invites = Arc::clone(&gateway.invites);
        let (ignores_requests, is_stopped) = (
            Arc::clone(&gateway.ignores_requests),
            Arc::clone(&gateway.is_stopped),
        );
        std::thread::spawn(move || {
            let mut buffer = [0; 65_535];
            while !is_stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if ignores_requests.load(Ordering::Relaxed) {
                    continue;
                }
                // Counted before the answer is sent: a test that has the answer may read the counter.
                if request.starts_with("INVITE ") {
                    invites.fetch_add(1, Ordering::Relaxed);
                }
                for answer in answers(&request) {
                    let _ = socket.send_to(answer.as_bytes(), from);
                }
            }
        });
        gateway
    }

    /// Its table in the configuration file, with `more` settings.
    pub fn table(&self, name: &str, more: &str) -> String {
        format!(
            "[[carriers.gateways]]\nname = \"{name}\"\nuri = \"sip:{}\"\n{more}\n",
            self.address
        )
    }

    pub fn invites(&self) -> usize {
        self.invites.load(Ordering::Relaxed)
    }

    pub fn ignore_requests(&self, ignore: bool) {
        self.ignores_requests.store(ignore, Ordering::Relaxed);
    }
}

impl Drop for BusyGateway {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

fn answers(request: &str) -> Vec<String> {
    let field = |name: &str| {
        request.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let answer = |status: &str, more: &str| {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            let mut value = field(name).unwrap_or_default();
            if name == "To" && !value.contains("tag=") && !status.starts_with("100") {
                value.push_str(";tag=far");
            }
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        format!("{text}{more}Content-Length: 0\r\n\r\n")
    };
    match request.split(' ').next() {
        Some("INVITE") => vec![answer("180 Ringing", ""), answer("486 Busy Here", "")],
        Some("REGISTER") => {
            let contact = field("Contact").unwrap_or_default();
            vec![answer(
                "200 OK",
                &format!("Contact: {contact};expires=3600\r\n"),
            )]
        }
        Some("OPTIONS" | "BYE" | "CANCEL") => vec![answer("200 OK", "")],
        Some(_) | None => vec![],
    }
}
