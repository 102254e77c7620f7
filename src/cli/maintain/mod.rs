//! Commands that maintain the installation: audit, backup, schema, secret, configuration, recordings.

pub mod audit;
pub mod backup;
pub mod config;
pub mod migrate;
pub mod prompts;
pub mod secret;
