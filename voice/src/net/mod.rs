//! Network transports (UDP, TCP, TLS), location of SIP servers by DNS (RFC 3263), deadlines, scopes of addresses, and
//! shortages of this host.

pub(super) mod deadlines;
pub mod locate;
pub mod refusals;
pub(super) mod scope;
pub mod shortage;
pub mod streams;
pub(super) mod udp;
