//! SIP, RTP and the voice of NEXO ROUTE, and the sandbox carrier.

mod deadlines;
pub mod endpoint;
pub mod g711;
pub mod locate;
pub mod prompts;
pub mod recordings;
pub mod rtp;
pub mod sandbox;
pub mod sip;
pub mod streams;
mod udp;
pub mod wav;
