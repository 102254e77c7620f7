//! The tables of NEXO ROUTE and every query on them.
//!
//! A file a table holds its sea-orm entity; `store` holds the queries, a file an aggregate. The
//! rest of the product speaks to [`Store`] in the domain's own types.

pub mod accounts;
pub mod api_keys;
pub mod call_attempts;
pub mod changes;
pub mod deliveries;
pub mod idempotency;
pub mod key_allowlist;
pub mod ledger_entries;
pub mod nodes;
pub mod password_resets;
pub mod pending_sign_ups;
pub mod phone_windows;
pub mod port_pieces;
pub mod port_sets;
pub mod sessions;
pub mod store;
pub mod wallets;
pub mod webhook_attempts;
pub mod webhook_endpoints;

pub use store::{Store, StoreError};
