//! Background jobs beside the calls. Each is a loop that runs until its task is stopped.

pub mod daily_stats;
pub mod disk_space;
pub mod low_balance;
pub mod privacy;
pub mod retention;
pub mod reviews;
pub mod verifications;
