//! SIP (RFC 3261), sans-IO: bytes and time come in, bytes and events go out.

mod call;
pub mod dialog;
pub mod digest;
pub mod gateway_uri;
pub mod header;
pub mod hop;
mod leg;
pub mod message;
mod outlet;
pub mod parse;
mod query;
pub mod registration;
pub mod sdes;
pub mod sdp;
pub mod transaction;
pub mod user_agent;
pub mod write;
