//! Deliveries: reading, searching, masking and recovering them.

pub mod daily_stats;
pub mod deliveries;
pub mod filters;
pub mod idempotency;
pub mod pages;
pub mod privacy;
pub mod recovery;
