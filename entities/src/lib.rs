//! The tables of NEXO ROUTE and every query on them.
//!
//! A file a table holds its sea-orm entity; `store` holds the queries, a file an aggregate. The
//! rest of the product speaks to [`Store`] in the domain's own types.

pub mod store;
pub mod tables;

pub use store::{Store, StoreError};
