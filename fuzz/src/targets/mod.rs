//! One function for each fuzz target. A target panics when it finds a defect.

pub mod agent;
pub mod crypto;
pub mod digest;
pub mod frames;
pub mod hook_body;
pub mod hook_proof;
pub mod keys;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod sip;
