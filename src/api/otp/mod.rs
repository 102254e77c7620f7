//! `POST /send-otp`: the handler, its body, idempotency keys, and the routing to a carrier.

pub(in crate::api) mod idempotency;
pub(in crate::api) mod order;
pub mod routing;
pub mod send_otp;
