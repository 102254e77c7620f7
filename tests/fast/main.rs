//! Tests of the shipped binary that need no telephone, no browser and no second node: the HTTP API, the commands,
//! the site, money, operators and operations.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod billing;
mod cli;
mod dashboard;
mod operations;
mod operators;
