//! The commands as an operator meets them: the built binary, its output, its errors, its exit codes.
//!
//! On SQLite, and on PostgreSQL too where `NEXO_TEST_POSTGRES_URL` names a server.

// A test says what is wrong by failing.
#![allow(clippy::unwrap_used)]

#[path = "cli/accounts.rs"]
mod accounts;
#[path = "cli/configuration.rs"]
mod configuration;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/nexo.rs"]
mod nexo;
#[path = "cli/outbox.rs"]
mod outbox;
#[path = "cli/schema.rs"]
mod schema;
#[path = "cli/voice.rs"]
mod voice;
#[path = "cli/wallet.rs"]
mod wallet;
#[path = "cli/webhooks.rs"]
mod webhooks;
