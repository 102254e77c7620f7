//! Background jobs beside the calls.

pub mod daily_stats;
pub mod low_balance;
pub mod privacy;
pub mod reviews;
pub mod schedule;
