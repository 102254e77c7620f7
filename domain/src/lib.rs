//! The rules of NEXO ROUTE, pure: no clock, no randomness, no input or output.
//!
//! Time and randomness come in as arguments, so every rule here can be tested by walking time.

pub mod account;
pub mod billing;
pub mod call;
pub mod idempotency;
pub mod ids;
pub mod money;
pub mod otp;
pub mod phone;
pub mod timestamp;
pub mod trace_parent;
pub mod webhook;
