//! SIP (RFC 3261), sans-IO: bytes and time come in, bytes and events go out.

pub mod dialog;
pub mod header;
mod leg;
pub mod message;
pub mod parse;
pub mod sdp;
pub mod transaction;
pub mod user_agent;
pub mod write;
