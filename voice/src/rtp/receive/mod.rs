//! Receives RTP: demultiplexing, the sources that count, DTMF detection and quality measurement.

pub(crate) mod demultiplexer;
pub mod quality;
pub(super) mod receiver;
pub(crate) mod source;
