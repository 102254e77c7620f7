//! SDP offers and answers, and the SRTP keys in them.

pub mod sdes;
pub mod sdp;
