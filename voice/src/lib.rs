//! SIP, RTP and the voice of NEXO ROUTE, and the sandbox carrier.

pub mod sandbox;
