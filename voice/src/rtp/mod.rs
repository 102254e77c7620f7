//! RTP and RTCP (RFC 3550, RFC 3551), and the clock that paces every call's audio.

pub mod receive;
pub mod send;
pub mod srtp;
pub mod wire;
