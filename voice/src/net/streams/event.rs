//! What the connections report to their owner.

use crate::sip::message::hop::Hop;

/// An event of the connections.
#[derive(Debug)]
pub enum StreamEvent {
    /// A complete message arrived.
    Received { from: Hop, message: Vec<u8> },
    /// The message with this token could not be written.
    Failed { token: Option<u64> },
}

/// Takes the events. Called on the thread of the connections.
pub type OnStreamEvent = dyn Fn(StreamEvent) + Send + Sync;
