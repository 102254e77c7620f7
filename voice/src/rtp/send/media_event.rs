//! What the media clock reports about its streams.

use super::stream_config::StreamId;
pub use crate::rtp::receive::receiver::KeySignal;
use crate::speech::prompts::Mark;

/// Something that happened to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaEvent {
    /// The script reached a mark.
    MarkReached { stream: StreamId, mark: Mark },
    /// The whole script has been sent, and the time of its last frame has passed.
    Finished { stream: StreamId },
    /// The far end sent a DTMF key. A press may be reported once by each of its sources.
    DtmfReceived { stream: StreamId, signal: KeySignal },
    /// The stream has ended: nothing could be sent for a second, the far end's host refused our packets
    /// and nothing was ever received, or the thread panicked.
    Lost { stream: StreamId },
}

/// Receives the events of one tick together. Called from the media threads.
pub type OnMediaEvents = dyn Fn(&[MediaEvent]) + Send + Sync;
