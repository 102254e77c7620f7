//! A gateway of its own for each test: a fresh database, free ports, the real binary.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used)]

pub mod busy_gateway;
mod customer;
mod database;
mod gateway;
pub mod mailbox;
pub mod past;
pub mod ports;
mod receiver;
pub mod recogniser;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use customer::{Answer, Customer, answer, client, number, whole};
pub use database::{Backend, FreshDatabase, backends};
pub use gateway::Gateway;
pub use receiver::{Hook, Receiver};

/// Polls until it is there.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < give_up, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A phone that no other call of this process has had, ending in these two digits.
pub fn phone(last_two: u32) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("+8498{n:05}{last_two:02}")
}
