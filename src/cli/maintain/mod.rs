//! Commands that maintain the installation.

pub mod audit;
pub mod backup;
pub mod config;
pub mod migrate;
pub mod prompts;
