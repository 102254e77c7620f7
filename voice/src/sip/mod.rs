//! SIP (RFC 3261), sans-IO: bytes and time come in, bytes and events go out.

pub mod message;
pub mod sdp;
pub mod user_agent;
