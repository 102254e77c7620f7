//! Random datagrams to the ports that face the network.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sends random datagrams and malformed SIP, RTP and RTCP until dropped.
pub struct Noise {
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Noise {
    /// Sends to all of these loopback ports from loopback, the address of the gateway's peers.
    pub fn start(ports: Vec<u16>) -> Noise {
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let heads: [&[u8]; 6] = [
                b"",
                b"\x80\x08\x00\x01",
                b"\x81\xc8\x00\x06",
                b"\xff\x65",
                b"SIP/2.0 200 OK\r\nVia: ",
                b"BYE sip:nexo@127.0.0.1 SIP/2.0\r\nCall-ID: ",
            ];
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            let mut random = || {
                // xorshift64
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            while !stop.load(Ordering::Relaxed) {
                for port in &ports {
                    let mut datagram = heads[random() as usize % heads.len()].to_vec();
                    let length = random() % 400;
                    datagram.extend((0..length).map(|_| random() as u8));
                    let _ = socket.send_to(&datagram, ("127.0.0.1", *port));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Noise { is_over, thread: Some(thread) }
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}
