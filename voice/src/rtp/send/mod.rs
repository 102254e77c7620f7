//! Sending: the media clock and its streams.

pub mod clock;
pub mod ports;
pub(super) mod stream;
pub(super) mod wheel;
