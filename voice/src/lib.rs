//! SIP, RTP and the voice of NEXO ROUTE, and the sandbox carrier.

pub mod audio;
pub mod endpoint;
pub mod net;
pub mod rtp;
pub mod sandbox;
pub mod sip;
pub mod speech;
