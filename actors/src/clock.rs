//! The wall clock of records, and the clock of leases. For waiting there is `Instant`.

use nix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, UTC.
pub fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// Milliseconds since the machine was started, those in which it was suspended included.
pub fn boot_ms() -> i64 {
    // Linux has had it since 2.6.39; without it nothing would be leased.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(i64::MAX, |since| {
        since.tv_sec() * 1_000 + since.tv_nsec() / 1_000_000
    })
}
