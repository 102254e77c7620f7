//! Every query on both databases: on SQLite always, on PostgreSQL where `NEXO_TEST_POSTGRES_URL` names
//! a server on which databases may be created.

// A test says what is wrong by failing.
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
mod webhooks;
