//! Runs every query on both databases: always on SQLite, and on PostgreSQL if `NEXO_TEST_POSTGRES_URL`
//! names a server with permission to create databases.

// In tests, a panic reports the failure.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod database;
mod world;

mod accounts;
mod billing;
mod cluster;
mod connection;
mod deliveries;
mod ledger;
mod operations;
mod verifications;
mod webhooks;
