//! SIP (RFC 3261) without I/O: it takes bytes and the time, and returns bytes and events.

pub mod message;
pub mod sdp;
pub mod user_agent;
