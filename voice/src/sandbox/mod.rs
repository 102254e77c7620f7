//! The sandbox carrier: a SIP and RTP callee that rings, answers, listens and recognises digits.
//!
//! | part | contents |
//! |---|---|
//! | `behaviour` | how each number handles a call |
//! | `sip` | the SIP user agent server, and the server task |
//! | `media` | the media thread, the audio of each call, and the listener threads |
//! | `recogniser` | recognition of spoken digits |
//! | `events`, `recording` | what is reported and saved of a call |

mod behaviour;
mod events;
mod media;
pub mod recogniser;
mod recording;
mod sip;

pub use behaviour::Behaviour;
pub use events::{CallId, CallRecord, Party, SandboxEvent};
pub use sip::server::{Sandbox, SandboxConfig, SandboxError};
