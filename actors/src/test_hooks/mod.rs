//! What tests change in a running node: they make actors panic and shorten long waits.
//!
//! Only debug builds contain this. A release build ignores the variables and has no code that reads them.
//!
//! | variable | what it does |
//! |---|---|
//! | `NEXO_TEST_PANICS` | a Unix datagram socket to open; a datagram names the actors that panic: `carriers`, `wallets` or `webhooks` |
//! | `NEXO_TEST_CLOCK_OFFSET_MS` | how far the wall clock is off at the start; the datagram `clock MS` to `NEXO_TEST_PANICS` sets it later |
//! | `NEXO_TEST_EXPORT_STALL_MS` | after which silence of its client an export may lose its place |
//! | `NEXO_TEST_LONGEST_CALL_MS` | how long after the end of a lease a call of that node may still be up |
//! | `NEXO_TEST_RETENTION_MS` | how often old test records are deleted |

use std::time::Duration;

#[cfg(debug_assertions)]
pub(crate) mod panics;

/// The duration that a debug build finds in this variable, in milliseconds. Otherwise `shipped`.
pub fn duration(variable: &str, shipped: Duration) -> Duration {
    #[cfg(debug_assertions)]
    if let Some(milliseconds) = std::env::var(variable).ok().and_then(|text| text.parse().ok()) {
        return Duration::from_millis(milliseconds);
    }
    #[cfg(not(debug_assertions))]
    let _ = variable;
    shipped
}

/// How far a test has set the wall clock, in milliseconds. 0 in a release build.
pub(crate) fn wall_clock_offset_ms() -> i64 {
    #[cfg(debug_assertions)]
    return wall_clock::offset_ms();
    #[cfg(not(debug_assertions))]
    0
}

#[cfg(debug_assertions)]
mod wall_clock {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static OFFSET_MS: LazyLock<AtomicI64> = LazyLock::new(|| {
        let offset = std::env::var("NEXO_TEST_CLOCK_OFFSET_MS").ok();
        AtomicI64::new(offset.and_then(|text| text.parse().ok()).unwrap_or(0))
    });

    pub fn offset_ms() -> i64 {
        OFFSET_MS.load(Ordering::Relaxed)
    }

    pub(super) fn set(text: &[u8]) {
        let offset = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
        if let Some(offset) = offset {
            OFFSET_MS.store(offset, Ordering::Relaxed);
        }
    }
}
