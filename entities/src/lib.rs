//! The database of NEXO ROUTE: entities of its tables and every query on them.
//!
//! The other crates use [`Store`] with the domain's types.

pub mod store;
pub mod tables;

pub use store::{Store, StoreError};
