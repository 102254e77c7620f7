//! Deliveries and their call attempts.

pub mod call_attempt;
pub mod delivery;
