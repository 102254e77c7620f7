//! A neighbour of a far end that presses keys in calls of others.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sends telephone-events from another port of the sandbox carrier's address until it is dropped.
pub struct KeyInjector {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl KeyInjector {
    /// Sends to all of these loopback ports.
    pub fn start(ports: Vec<u16>) -> KeyInjector {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut sequence = 0_u16;
            while !is_over.load(Ordering::Relaxed) {
                for port in &ports {
                    let mut packet = vec![0x80, 101];
                    packet.extend(sequence.to_be_bytes());
                    // A press of its own each.
                    packet.extend((u32::from(sequence) * 8000).to_be_bytes());
                    packet.extend([7, 7, 7, 7, 5, 10, 0, 160]);
                    let _ = socket.send_to(&packet, ("127.0.0.1", *port));
                }
                sequence = sequence.wrapping_add(1);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        KeyInjector { stop, thread: Some(thread) }
    }
}

impl Drop for KeyInjector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}
