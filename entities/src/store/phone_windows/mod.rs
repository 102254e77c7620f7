//! The 30 s window of each phone.

pub(super) mod cache;
pub mod table;
