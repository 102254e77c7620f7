//! Shortages of this host: it has no descriptor, port or memory for a connection.
//!
//! A shortage says nothing about the far end, so its health, its results and its customers must not suffer from it:
//! the operation is repeated later. Used for trunk connections, webhooks, e-mails and DNS queries.

use std::error::Error;
use std::io;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use thiserror::Error as ThisError;

/// What this host lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ThisError)]
pub enum Shortage {
    #[error("this host has no free file descriptor")]
    Descriptors,
    #[error("this host has no free memory for a connection")]
    Memory,
    #[error("this host has no free local port or address")]
    Ports,
    #[error("this host has too many DNS queries in progress")]
    DnsQueries,
}

impl Shortage {
    /// The shortage that caused an error, if one did.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Shortage> {
        std::iter::successors(Some(error), |&error| error.source()).find_map(|cause| {
            cause
                .downcast_ref::<Shortage>()
                .copied()
                .or_else(|| Shortage::of_io(cause.downcast_ref::<io::Error>()?))
        })
    }

    /// The shortage behind an I/O error. The error may wrap another one.
    pub fn of_io(error: &io::Error) -> Option<Shortage> {
        match error.raw_os_error() {
            Some(code) => match Errno::from_raw(code) {
                Errno::EMFILE | Errno::ENFILE => Some(Shortage::Descriptors),
                Errno::ENOMEM | Errno::ENOBUFS => Some(Shortage::Memory),
                Errno::EADDRNOTAVAIL => Some(Shortage::Ports),
                _ => None,
            },
            None => Shortage::of(error.get_ref()?),
        }
    }

    /// Whether every connection of this process lacks it, not only those to one far end.
    pub fn is_general(self) -> bool {
        matches!(self, Shortage::Descriptors | Shortage::Memory)
    }

    /// The label of the metric.
    fn name(self) -> &'static str {
        match self {
            Shortage::Descriptors => "descriptors",
            Shortage::Memory => "memory",
            Shortage::Ports => "ports",
            Shortage::DnsQueries => "dns_queries",
        }
    }

    /// Counts an operation of this part of the gateway that is repeated later.
    pub fn count(self, part: &'static str) {
        metrics::counter!("nexo_shortages_total", "part" => part, "resource" => self.name())
            .increment(1);
    }
}

/// The start of the process's time, for [`LAST_TRUNK_SHORTAGE_MS`].
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
/// When a trunk connection last failed of a shortage, in ms since [`STARTED`], plus one. 0: never.
static LAST_TRUNK_SHORTAGE_MS: AtomicU64 = AtomicU64::new(0);

/// Records that a trunk connection failed of a shortage.
pub fn record_trunk_shortage(shortage: Shortage) {
    shortage.count("sip");
    let now = STARTED.elapsed().as_millis() as u64 + 1;
    LAST_TRUNK_SHORTAGE_MS.store(now, Ordering::Relaxed);
}

/// Whether a trunk connection failed of a shortage within this time. Then a call or probe that could not be sent
/// says nothing about its gateway.
pub fn had_trunk_shortage(within: Duration) -> bool {
    let last = LAST_TRUNK_SHORTAGE_MS.load(Ordering::Relaxed);
    let now = STARTED.elapsed().as_millis() as u64 + 1;
    last != 0 && u128::from(now.saturating_sub(last)) <= within.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_found_anywhere_in_the_chain_of_causes() {
        for (errno, shortage) in [
            (Errno::EMFILE, Some(Shortage::Descriptors)),
            (Errno::ENFILE, Some(Shortage::Descriptors)),
            (Errno::ENOMEM, Some(Shortage::Memory)),
            (Errno::ENOBUFS, Some(Shortage::Memory)),
            (Errno::EADDRNOTAVAIL, Some(Shortage::Ports)),
            (Errno::ECONNREFUSED, None),
            (Errno::ENETUNREACH, None),
            (Errno::ETIMEDOUT, None),
        ] {
            let plain = io::Error::from(errno);
            assert_eq!(Shortage::of(&plain), shortage, "{errno}");
            let wrapped = io::Error::other(io::Error::other(io::Error::from(errno)));
            assert_eq!(Shortage::of(&wrapped), shortage, "{errno}");
        }
        let own = io::Error::other(Shortage::DnsQueries);
        assert_eq!(Shortage::of(&own), Some(Shortage::DnsQueries));
        assert_eq!(Shortage::of(&io::Error::other("refused")), None);
    }
}
