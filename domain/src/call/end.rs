//! How a call ends, and why a gateway does not accept one.

use std::fmt;

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

/// A gateway's challenge that is not answered: its digest algorithms are weaker than the configuration requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WeakChallenge {
    /// 401 or 407.
    pub code: u16,
    /// The strongest algorithm that the gateway offers.
    pub offered: &'static str,
    /// The weakest algorithm that is allowed.
    pub required: &'static str,
}

impl fmt::Display for WeakChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WeakChallenge { code, offered, required } = self;
        write!(
            f,
            "challenged ({code}) with the digest algorithm {offered}, but `digest` requires {required}"
        )
    }
}

/// Why a gateway did not accept a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No response within the gateway's timeout.
    Silent,
    /// The transport failed.
    TransportLost,
    /// The first response was final.
    Rejected { code: u16, retry_after_seconds: Option<u32> },
    /// The gateway demands an authentication that is too weak.
    WeakChallenge(WeakChallenge),
    /// Abandoned by this process before any response.
    Abandoned,
}

impl Refusal {
    /// Whether another gateway may be tried: only after technical failures (timeout, transport error, 5xx, 408),
    /// throttling (429) and a challenge that is too weak. Other answers concern the number and are final.
    pub fn may_fail_over(&self) -> bool {
        match self {
            Refusal::Silent | Refusal::TransportLost | Refusal::WeakChallenge(_) => true,
            Refusal::Rejected { code, .. } => matches!(code, 408 | 429 | 500..=599),
            Refusal::Abandoned => false,
        }
    }

    /// The `Retry-After` of a 503 or 429, in seconds.
    pub fn throttled_seconds(&self) -> Option<u32> {
        match self {
            Refusal::Rejected { code: 429 | 503, retry_after_seconds } => *retry_after_seconds,
            Refusal::Silent
            | Refusal::TransportLost
            | Refusal::Rejected { .. }
            | Refusal::WeakChallenge(_)
            | Refusal::Abandoned => None,
        }
    }
}
