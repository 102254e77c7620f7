//! Lists of deliveries, statistics per day, and the removal of personal data and test records.

mod daily_stats;
mod pages;
mod privacy;
mod retention;
