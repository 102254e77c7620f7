//! A carrier's gateway that rings forever or stays silent, and counts the requests it receives.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct FarEnd {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl FarEnd {
    /// Sends 180 to INVITE and never a final response; accepts CANCEL.
    pub fn ringing() -> FarEnd {
        FarEnd::start(|method| match method {
            "INVITE" => Some("180 Ringing"),
            "ACK" => None,
            _ => Some("200 OK"),
        })
    }

    pub fn silent() -> FarEnd {
        FarEnd::start(|_| None)
    }

    fn start(answer: fn(&str) -> Option<&'static str>) -> FarEnd {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let far_end = FarEnd {
            address: socket.local_addr().unwrap(),
            requests: Arc::default(),
            stop: Arc::default(),
        };
        let (requests, stop) = (Arc::clone(&far_end.requests), Arc::clone(&far_end.stop));
        std::thread::spawn(move || {
            let mut buffer = [0; 65_535];
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let method = request.split(' ').next().unwrap().to_owned();
                if method.starts_with("SIP/") {
                    continue;
                }
                let status = answer(&method);
                // Recorded before the response is sent, so that a test that has the response sees the request.
                requests.lock().unwrap().push(method);
                if let Some(status) = status {
                    let answer = answer_to(&request, status);
                    socket.send_to(answer.as_bytes(), from).unwrap();
                }
            }
        });
        far_end
    }

    /// The gateway's entry in a configuration.
    pub fn gateway(&self, name: &str, priority: u32) -> String {
        let address = self.address;
        format!(
            r#"{{name="{name}",uri="sip:{address}",priority={priority},options_ping_seconds=0}}"#
        )
    }

    /// The number of requests of this method, retransmissions included.
    pub fn request_count(&self, method: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| *request == method).count()
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn answer_to(request: &str, status: &str) -> String {
    let head: String = ["Via", "From", "To", "Call-ID", "CSeq"]
        .map(|name| {
            let prefix = format!("{name}: ");
            let line = request.lines().find(|line| line.starts_with(&prefix));
            let line = line.unwrap();
            match name == "To" && !line.contains("tag=") {
                true => format!("{line};tag=far\r\n"),
                false => format!("{line}\r\n"),
            }
        })
        .concat();
    format!("SIP/2.0 {status}\r\n{head}Content-Length: 0\r\n\r\n")
}
