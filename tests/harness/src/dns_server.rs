//! A DNS server that resolves every name to loopback, and can stop answering.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The server. Names that begin with `dead` have no answer while it is silent.
pub struct DnsServer {
    address: SocketAddr,
    is_silent: Arc<AtomicBool>,
    unanswered: Arc<AtomicUsize>,
}

impl DnsServer {
    pub fn start() -> DnsServer {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = DnsServer {
            address: socket.local_addr().unwrap(),
            is_silent: Arc::default(),
            unanswered: Arc::default(),
        };
        let is_silent = Arc::clone(&server.is_silent);
        let unanswered = Arc::clone(&server.unanswered);
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let query = &query[..length];
                if is_silent.load(Ordering::Relaxed) && query[13..].starts_with(b"dead") {
                    unanswered.fetch_add(1, Ordering::Relaxed);
                } else if let Some(answer) = answer(query) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        server
    }

    /// The value of `NEXO_DNS__SERVERS`.
    pub fn setting(&self) -> String {
        format!("[\"{}\"]", self.address)
    }

    /// Stops answering queries for names that begin with `dead`.
    pub fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }

    /// The number of queries without an answer.
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::Relaxed)
    }
}

/// The answer to a query with one question (RFC 1035 §4.1): 127.0.0.1 for A, nothing for other types.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let name_length = query.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let question = query.get(12..12 + name_length + 4)?;
    let is_a = question[name_length..name_length + 2] == [0, 1];
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    answer.extend(question);
    if is_a {
        // A TTL of one second.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
