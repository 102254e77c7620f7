//! Webhook endpoints and attempts.

pub mod attempts;
pub mod endpoints;
pub mod history;
pub(crate) mod queue;
