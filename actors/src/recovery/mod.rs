//! Settles the deliveries that a dead process left behind, of this node and of others.

pub mod reaper;
pub mod takeover;
