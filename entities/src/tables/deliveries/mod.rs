//! OTPs, their calls, and what a request claims.

pub mod call_attempt;
pub mod delivery;
pub mod idempotency_key;
pub mod phone_window;
