//! The formats of RTP, RTCP and DTMF.

pub mod dtmf_tones;
pub mod packet;
pub mod rtcp;
pub mod telephone_event;
