//! What the state machine of a call is told, and what it asks for.

use crate::call::end::{CallEnd, WeakChallenge};

/// What the network or the audio reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallInput {
    /// A 1xx response.
    Provisional { code: u16 },
    /// A 2xx response with a usable media path.
    Answered,
    /// A 2xx response without a media path so far: the far end holds the call, or has no address yet.
    AnsweredOnHold,
    /// The media path of a call that was answered without one is usable now.
    MediaReady,
    /// A final response of 300 or higher.
    Rejected { code: u16, retry_after_seconds: Option<u32> },
    /// A challenge that is not answered.
    WeakChallenge(WeakChallenge),
    /// No response within the gateway's timeout.
    Silent,
    /// The socket or connection to the gateway failed.
    TransportLost,
    /// The media that the far end announces are unusable, or the media path broke.
    MediaLost,
    /// The last digit of a reading was sent.
    CodeRead,
    /// The phone pressed a key.
    KeyPressed,
    /// All audio was sent.
    Played,
    /// The far end put the call on hold, which delays the reading.
    Held,
    /// The far end sent BYE.
    RemoteHungUp,
    /// The process abandons the call: it is shutting down, or the caller of this API dropped the call.
    Abandoned,
}

/// What the caller of the state machine must do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallEffect {
    /// The carrier accepted the call: the request may be answered with 202.
    Accepted,
    /// Ask for a key.
    AskForKey,
    /// Start reading the code.
    Speak,
    /// Repeat the code. The number counts the repetitions from 1.
    Repeat(u8),
    /// CANCEL the INVITE.
    Cancel,
    /// Send BYE, or CANCEL if the call is not answered.
    HangUp,
    /// The call has ended.
    Ended(CallEnd),
}
