//! The wall clock for records, the boot clock for leases, and intervals for work that repeats.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use tokio::time::{Interval, MissedTickBehavior};

/// Milliseconds since 1970, UTC.
pub fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// Milliseconds since the machine was started, including the time in which it was suspended.
pub fn boot_ms() -> i64 {
    // Linux has this clock since 2.6.39. Without it every lease counts as expired.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(i64::MAX, |since| {
        since.tv_sec() * 1_000 + since.tv_nsec() / 1_000_000
    })
}

/// Ticks at once and then every `period`. After a late tick the next one is a whole `period` later.
pub(crate) fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
