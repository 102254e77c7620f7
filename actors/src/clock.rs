//! Clocks, and intervals for work that repeats.
//!
//! | clock | for | when the wall clock is set |
//! |---|---|---|
//! | [`unix_ms`] | the times of records | follows |
//! | [`boot_ms`], [`Instant`](std::time::Instant) | leases, claims, limits and every other duration | unaffected |
//! | [`RecordClock`] | the times within one delivery | unaffected until the delivery has ended |
//! | [`WindowClock`] | phone windows in the database | unaffected |

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use tokio::time::{Interval, MissedTickBehavior};

use crate::test_hooks;

/// Milliseconds since 1970, UTC.
pub fn unix_ms() -> i64 {
    let now_ms =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    now_ms + test_hooks::wall_clock_offset_ms()
}

/// Milliseconds since the machine was started, including the time in which it was suspended.
pub fn boot_ms() -> i64 {
    // Linux has this clock since 2.6.39. Without it every lease counts as expired.
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(i64::MAX, |since| since.tv_sec() * 1_000 + since.tv_nsec() / 1_000_000)
}

/// The times of one delivery's records: the wall time at the start, and from then on the boot clock. No time is before
/// an earlier one, whatever happens to the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct RecordClock {
    start_ms: i64,
    started_boot_ms: i64,
}

impl RecordClock {
    pub fn start() -> RecordClock {
        RecordClock { start_ms: unix_ms(), started_boot_ms: boot_ms() }
    }

    /// The start in Unix milliseconds.
    pub fn start_ms(&self) -> i64 {
        self.start_ms
    }

    /// The time in Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.start_ms + (boot_ms() - self.started_boot_ms).max(0)
    }
}

/// The clock of phone windows in the database, in Unix milliseconds.
///
/// On PostgreSQL it is the database's clock, which all nodes share: the node knows its difference to the boot clock
/// from the last renewal of its lease. On SQLite the difference is that of the wall clock at the start of the process.
#[derive(Debug)]
pub struct WindowClock {
    /// Unix time less the boot clock.
    offset_ms: AtomicI64,
    is_shared: bool,
}

impl WindowClock {
    /// The clock of the only process on a database.
    pub fn of_process() -> WindowClock {
        WindowClock { offset_ms: AtomicI64::new(unix_ms() - boot_ms()), is_shared: false }
    }

    /// The clock of a node on PostgreSQL. It must be synchronised before its first use.
    pub fn of_database() -> WindowClock {
        WindowClock { is_shared: true, ..WindowClock::of_process() }
    }

    /// Whether it is the clock of a database that several nodes may use.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    pub fn now_ms(&self) -> i64 {
        boot_ms() + self.offset_ms.load(Ordering::Relaxed)
    }

    /// The time with which stored windows are compared at the start. On SQLite these are the times of deliveries, which
    /// follow the wall clock.
    pub fn stored_now_ms(&self) -> i64 {
        match self.is_shared {
            true => self.now_ms(),
            false => unix_ms(),
        }
    }

    /// Adopts the database's time, which was asked at `requested_ms` of the boot clock and has just arrived.
    pub fn synchronise(&self, database_ms: i64, requested_ms: i64) {
        let at_ms = i64::midpoint(requested_ms, boot_ms());
        self.offset_ms.store(database_ms - at_ms, Ordering::Relaxed);
    }
}

/// Ticks at once and then every `period`. After a late tick the next one is a whole `period` later.
pub(crate) fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
