//! Network transports (UDP, TCP, TLS), location of SIP servers by DNS (RFC 3263), and deadlines.

pub(super) mod deadlines;
pub mod locate;
pub mod streams;
pub(super) mod udp;
