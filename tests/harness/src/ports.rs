//! Ports for programs that must be told theirs. They lie below the range from which the system gives
//! ports to whoever asks for any: between the choice and the program's start nobody is given one, and a
//! connection to it before its start cannot be its own other end.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 10_000;
const COUNT: u16 = 9_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// So many ports in a row that are free for UDP and TCP, the first of them even. None is chosen twice
/// before all were.
pub fn free_ports(count: u16) -> u16 {
    assert!(count <= 100, "{count} ports");
    let step = count.next_multiple_of(2);
    // Test programs that run at once begin at other places.
    let begin = (std::process::id() as u16).wrapping_mul(331) % COUNT;
    for _ in 0..COUNT {
        let at = NEXT.fetch_add(step, Ordering::Relaxed) % COUNT;
        let first = FIRST + (begin + at) % COUNT;
        let first = first - first % 2;
        if (first..first + count).all(is_free) {
            return first;
        }
    }
    panic!("no {count} free ports in a row");
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
}
