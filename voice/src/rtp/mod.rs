//! RTP and RTCP (RFC 3550, RFC 3551), and the clock that paces every call's audio.

pub mod clock;
pub mod packet;
pub mod ports;
mod reception;
pub mod rtcp;
pub mod srtp;
mod stream;
mod wheel;
