//! `POST /send-otp`: routing, idempotency, the answer.

pub(super) mod idempotency;
pub mod routing;
pub(super) mod send_otp;
