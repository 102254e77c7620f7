//! The rules of NEXO ROUTE, without clock, randomness, input or output.
//!
//! Time and randomness are arguments, so that tests control both.

pub mod account;
pub mod billing;
pub mod call;
pub mod customer_fields;
pub mod idempotency;
pub mod ids;
pub mod installation_secret;
pub mod integration;
pub mod money;
pub mod otp;
pub mod phone;
pub mod schema;
pub mod time_zone;
pub mod timestamp;
pub mod trace_parent;
pub mod verification;
pub mod webhook;
