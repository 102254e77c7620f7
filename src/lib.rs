//! NEXO ROUTE: one HTTP POST makes a phone ring and a voice read the code.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod dashboard;
pub mod database;
pub mod deposits;
pub mod http;
pub mod input;
pub mod integrations;
pub mod password;
pub mod process;
pub mod qr;
pub mod quotas;
pub mod read_limits;
pub mod secrets;
pub mod telemetry;
pub mod terms;
pub mod trunks;
pub mod voice;
