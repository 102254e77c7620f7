//! Tests of the shipped binary without telephony peers and browsers: the HTTP API, the commands, the dashboard,
//! billing, operator pages, operations, verifications and the host.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod billing;
pub(crate) mod cli;
mod dashboard;
mod host;
mod http;
mod integrations;
mod operations;
mod operators;
mod verify;
