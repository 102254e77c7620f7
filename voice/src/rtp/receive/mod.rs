//! Receiving: demultiplexing, keys, quality.

pub(super) mod demultiplexer;
pub mod quality;
pub(super) mod receiver;
