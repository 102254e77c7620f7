//! Shared code of the tests. Each test starts the real binary with its own database and ports.
//!
//! Tests run in separate processes in parallel. Ports and databases must not collide across processes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod customer;
mod database;
mod dns_server;
mod gateway;
pub mod mailbox;
pub mod past;
pub mod ports;
pub mod postgres_server;
pub mod raw_http;
mod receiver;
pub mod recogniser;
mod sandbox_carrier;
pub mod scripted_gateway;
pub mod visitor;
pub mod waiting;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use customer::{Answer, Customer, answer, client, number, read_answer};
pub use database::{Backend, FreshDatabase};
pub use dns_server::DnsServer;
pub use gateway::{Gateway, SHELL};
pub use nexo_test_macros::per_database;
pub use receiver::{Hook, Receiver};
pub use sandbox_carrier::SandboxCarrier;

/// Makes a test of each case: `cases! { test: first(1, "a"); second(2, "b"); }` calls `test(1, "a")` in a test named
/// `test::first`. Cases run independently, in parallel.
#[macro_export]
macro_rules! cases {
    ($test:ident: $($case:ident($($argument:expr),*);)+) => {
        mod $test {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$test($($argument),*).await;
                }
            )+
        }
    };
}

/// The built `nexo`, which Cargo puts in the parent directory of the test programs.
pub fn nexo_binary() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let binary = program.ancestors().nth(2).unwrap().join("nexo");
    assert!(binary.exists(), "{} is not built", binary.display());
    binary
}

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Polls until `poll` returns a value. Panics after `timeout`.
pub async fn until<T>(
    what: &str,
    timeout: Duration,
    mut poll: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = poll().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {timeout:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A phone number that is unique in this process and ends in these two digits.
pub fn phone(last_two: u32) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("+8498{n:05}{last_two:02}")
}
