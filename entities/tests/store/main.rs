//! Every query on both databases: on SQLite always, on PostgreSQL where `NEXO_TEST_POSTGRES_URL` names
//! a server on which databases may be created.

// A test says what is wrong by failing.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod database;
mod world;

mod accounts;
mod alike;
mod audit;
mod closing;
mod commissions;
mod connecting;
mod delivery_pages;
mod deposits;
mod figures;
mod gateways;
mod holdings;
mod keys;
mod ledger;
mod nodes;
mod outbox;
mod ports;
mod posting;
mod privacy;
mod properties;
mod racing;
mod recovery;
mod referrals;
mod schema;
mod sessions;
