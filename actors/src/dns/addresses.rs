//! The result of a lookup.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use nexo_voice::net::shortage::Shortage;
use thiserror::Error;

/// The time of one lookup, all queries together.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a name has no addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DnsError {
    #[error("the host name does not resolve")]
    Unresolved,
    #[error("no DNS server answered within {} s", LOOKUP_TIMEOUT.as_secs())]
    NoAnswer,
    /// The name may resolve later.
    #[error("{0}")]
    Shortage(#[from] Shortage),
}

/// The addresses of a name, IPv4 first.
pub type Addresses = Result<Arc<[IpAddr]>, DnsError>;
