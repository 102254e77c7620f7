//! Transports: UDP, TCP and TLS connections, and RFC 3263 location of SIP servers.

pub(super) mod deadlines;
pub mod locate;
pub mod streams;
pub(super) mod udp;
