//! Every query on both databases: on SQLite always, on PostgreSQL where `NEXO_TEST_POSTGRES_URL` names
//! a server on which databases may be created.

#[macro_use]
mod database;
mod world;

mod accounts;
mod audit;
mod connecting;
mod outbox;
mod posting;
mod properties;
mod racing;
mod recovery;
mod schema;
