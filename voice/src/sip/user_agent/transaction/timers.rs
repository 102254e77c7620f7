//! The base values of the timers.

use std::time::Duration;

/// The base values of the timers (RFC 3261 §17.1.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// The estimated round-trip time.
    pub t1: Duration,
    /// The maximum interval between retransmissions of a non-INVITE request.
    pub t2: Duration,
    /// The maximum time that a message remains in the network.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}

impl Timers {
    /// 64·T1: timers F and M, and how long late responses are expected.
    pub fn transaction_timeout(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: how long retransmitted failure responses are acknowledged, at least 32 s over UDP.
    pub fn timer_d(&self) -> Duration {
        self.transaction_timeout()
    }
}
