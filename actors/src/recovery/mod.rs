//! Settling what a dead process left: our own and other nodes'.

pub mod reaper;
pub mod takeover;
