//! How a call ends, and why a gateway does not accept one.

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallEnd {
    /// Ended before the carrier accepted it.
    NotAccepted(Refusal),
    /// The code was read at least once, to its last digit.
    Delivered,
    /// Answered, and ended before the last digit of the first reading.
    PartialPlayback,
    /// Cut before the last digit of the first reading, because the call reached its longest duration.
    TimeLimit,
    /// Rejected after acceptance.
    Rejected { code: u16, after_ringing: bool },
    /// Rang until the ring timeout.
    NoAnswer,
    /// Answered, but without a usable media path.
    MediaLost,
    /// The connection to the gateway broke after acceptance.
    TransportLost,
    /// Abandoned by this process.
    Abandoned,
}

/// Why a gateway did not accept a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No response within the gateway's timeout.
    Silent,
    /// The transport failed.
    TransportLost,
    /// The first response was final.
    Rejected {
        code: u16,
        retry_after_seconds: Option<u32>,
    },
    /// Abandoned by this process before any response.
    Abandoned,
}

impl Refusal {
    /// Whether another gateway may be tried: only after technical failures (timeout, transport error, 5xx, 408) and
    /// throttling (429). Other answers concern the number and are final.
    pub fn may_fail_over(&self) -> bool {
        match self {
            Refusal::Silent | Refusal::TransportLost => true,
            Refusal::Rejected { code, .. } => matches!(code, 408 | 429 | 500..=599),
            Refusal::Abandoned => false,
        }
    }

    /// The `Retry-After` of a 503 or 429, in seconds.
    pub fn throttled_seconds(&self) -> Option<u32> {
        match self {
            Refusal::Rejected {
                code: 429 | 503,
                retry_after_seconds,
            } => *retry_after_seconds,
            Refusal::Silent
            | Refusal::TransportLost
            | Refusal::Rejected { .. }
            | Refusal::Abandoned => None,
        }
    }
}
