//! What is on the wire: RTP, RTCP, telephone events.

pub mod dtmf_tones;
pub mod packet;
pub mod rtcp;
pub mod telephone_event;
