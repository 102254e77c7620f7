//! Webhook endpoints and attempts.

pub mod attempt;
pub mod endpoint;
