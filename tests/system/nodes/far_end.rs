//! A carrier's gateway that rings for ever, or says nothing, and counts what it is asked.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct FarEnd {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
}

impl FarEnd {
    /// Rings, and never answers; agrees to CANCEL.
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
            asked: Arc::default(),
            is_over: Arc::default(),
        };
        let (asked, is_over) = (Arc::clone(&far_end.asked), Arc::clone(&far_end.is_over));
        std::thread::spawn(move || {
            let mut buffer = [0; 65_535];
            while !is_over.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let method = request.split(' ').next().unwrap().to_owned();
                if method.starts_with("SIP/") {
                    continue;
                }
                let status = answer(&method);
                // Before it is sent: whoever has an answer may count what was asked.
                asked.lock().unwrap().push(method);
                if let Some(status) = status {
                    let answer = answer_to(&request, status);
                    socket.send_to(answer.as_bytes(), from).unwrap();
                }
            }
        });
        far_end
    }

    /// As it stands in a configuration, with this priority.
    pub fn gateway(&self, name: &str, priority: u32) -> String {
        let address = self.address;
        format!(
            r#"{{name="{name}",uri="sip:{address}",priority={priority},options_ping_seconds=0}}"#
        )
    }

    /// How many such requests came, repeated ones included.
    pub fn asked(&self, method: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| *asked == method).count()
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
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
