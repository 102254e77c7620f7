//! The errors of SRTP.

use thiserror::Error;

/// Why a packet was not protected or not accepted. The packet is left unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SrtpError {
    #[error("not an RTP or RTCP packet")]
    Malformed,
    #[error("longer than an IP datagram")]
    TooLong,
    #[error("too many sources under one key")]
    TooManySources,
    #[error("replayed, or too old to check for replay")]
    Replayed,
    #[error("wrong authentication tag")]
    Unauthentic,
    #[error("not encrypted")]
    Unencrypted,
    #[error("the master key has reached its packet limit")]
    KeyExhausted,
}
