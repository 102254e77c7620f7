//! OTPs: reading, searching, masking, recovering.

pub mod daily_stats;
pub mod deliveries;
pub mod filters;
pub mod idempotency;
pub mod pages;
pub mod privacy;
pub mod recovery;
