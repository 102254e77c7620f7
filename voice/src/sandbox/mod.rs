//! The sandbox carrier: a real SIP and RTP callee that rings, answers, listens and understands.
//!
//! | part | is |
//! |---|---|
//! | `behaviour` | what a number does with a call |
//! | `call` | one call's machine |
//! | `callee`, `live_call`, `dialog`, `bygone` | all calls, on the wire |
//! | `leg`, `jitter_buffer`, `impairment`, `receiver_report`, `greeting` | one call's audio |
//! | `recogniser` | what digits were said |
//! | `server`, `media`, `media_ports`, `ears` | sockets and threads |
//! | `events`, `recording` | what is told and kept of a call |

mod behaviour;
mod events;
mod media;
pub mod recogniser;
mod recording;
pub(crate) mod sip;

pub use behaviour::Behaviour;
pub use events::{CallId, CallRecord, Party, SandboxEvent};
pub use sip::server::{Sandbox, SandboxConfig, SandboxError};
