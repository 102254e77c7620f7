//! The sandbox carrier: a real SIP and RTP callee that rings, answers, listens and understands.

mod behaviour;
mod bygone;
mod call;
mod events;
mod greeting;
mod impairment;
mod jitter_buffer;
mod media_ports;
mod recording;
