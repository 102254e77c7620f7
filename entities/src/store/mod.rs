//! All queries of the product, grouped by subject.
//!
//! [`Store`] is the handle. Its methods return a view per subject, such as
//! [`store.ledger()`](Store::ledger). Reads use a read connection, and each write is one transaction.

pub mod accounts;
pub mod billing;
pub mod cluster;
pub mod connection;
pub mod deliveries;
pub mod error;
pub mod ledger;
pub mod operations;
pub mod phone_windows;
pub(crate) mod sql;
pub mod verifications;
pub mod webhooks;

mod connect;
mod database;
mod views;

pub use connect::{DEFAULT_LIST_CONNECTIONS, sqlite_path};
pub use database::Store;
pub use error::{Conflict, StoreError};
pub use views::{
    Accounts, Billing, Cluster, Deliveries, Ledger, Operations, PhoneWindows, Verifications,
    Webhooks,
};
