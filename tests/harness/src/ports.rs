//! Free ports for programs that cannot choose a port themselves.
//!
//! They are below the system's ephemeral range. No other program receives one between the choice and the start, and a
//! connection to a port that is not open yet cannot connect to itself.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

const FIRST: u16 = 10_000;
/// Each process reserves whole blocks of ports.
const BLOCK: u16 = 100;
const BLOCKS: u16 = 90;

/// A block that belongs to this process until it ends.
struct Block {
    next: u16,
    end: u16,
    /// Locked. The system releases the lock when the process ends, even after a crash.
    _lock: File,
}

static BLOCKS_OF_THIS_PROCESS: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// Returns the first of `count` consecutive ports that are free for UDP and TCP. It is even. No port is returned
/// twice.
pub fn free_ports(count: u16) -> u16 {
    assert!(count <= BLOCK, "{count} ports");
    let step = count.next_multiple_of(2);
    let mut blocks = BLOCKS_OF_THIS_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        while let Some(block) = blocks.last_mut().filter(|block| block.next + step <= block.end) {
            let first = block.next;
            block.next += step;
            if (first..first + count).all(is_free) {
                return first;
            }
        }
        blocks.push(take_block());
    }
}

fn take_block() -> Block {
    let folder = std::env::temp_dir().join("nexo-test-ports");
    std::fs::create_dir_all(&folder).unwrap();
    // Starting at a block that depends on the process avoids ports that were in use a moment ago.
    let start = std::process::id() as u16 % BLOCKS;
    for n in (start..BLOCKS).chain(0..start) {
        let lock = File::create(folder.join(n.to_string())).unwrap();
        if lock.try_lock().is_ok() {
            let next = FIRST + n * BLOCK;
            return Block { next, end: next + BLOCK, _lock: lock };
        }
    }
    panic!("other tests use all ports");
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
}
