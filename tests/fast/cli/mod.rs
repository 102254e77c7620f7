//! The commands as an operator meets them: the built binary, its output, its errors, its exit codes.
//!
//! On SQLite, and on PostgreSQL too where `NEXO_TEST_POSTGRES_URL` names a server.

mod accounts;
mod configuration;
mod keys;
mod nexo;
mod outbox;
mod schema;
mod voice;
mod wallet;
mod webhooks;
