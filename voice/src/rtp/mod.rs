//! RTP and RTCP (RFC 3550, RFC 3551), and the clock that paces every call's audio.

pub mod clock;
mod ears;
pub mod packet;
pub mod ports;
pub mod quality;
mod reception;
pub mod rtcp;
mod seal;
pub mod srtp;
mod stream;
pub mod telephone_event;
pub mod tones;
mod wheel;
