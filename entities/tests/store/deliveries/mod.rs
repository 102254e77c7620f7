//! Lists of deliveries, statistics per day, and the removal of personal data.

mod daily_stats;
mod pages;
mod privacy;
