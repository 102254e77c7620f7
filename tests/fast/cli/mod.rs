//! Tests of the commands of the built binary: their output, errors and exit codes.
//!
//! They run on SQLite, and on PostgreSQL if `NEXO_TEST_POSTGRES_URL` names a server.

mod accounts;
mod configuration;
mod first_run;
mod keys;
pub(crate) mod nexo;
mod outbox;
mod schema;
pub(crate) mod voice;
mod wallet;
mod webhooks;
