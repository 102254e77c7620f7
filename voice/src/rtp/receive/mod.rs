//! Receives RTP: demultiplexing, DTMF detection and quality measurement.

pub(super) mod demultiplexer;
pub mod quality;
pub(super) mod receiver;
