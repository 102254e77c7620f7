//! What the sandbox carrier knows about its calls, and the events that it reports.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nexo_domain::phone::Phone;

/// A call's `Call-ID`.
pub type CallId = Arc<str>;

/// The callee's internal number of a call.
pub(crate) type CallNumber = u64;

/// A call that has ended, before its audio has been recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EndedCall {
    pub call: CallNumber,
    pub call_id: CallId,
    pub phone: Phone,
    pub answered: bool,
    pub talk_time: Duration,
}

/// An event of one call, in the order of occurrence. `Debug` hides the recognised digits.
#[derive(Clone, PartialEq)]
pub enum SandboxEvent {
    /// An INVITE was received.
    Invited { call_id: CallId, phone: Phone },
    /// 180 was sent.
    Ringing { call_id: CallId },
    /// 200 was sent.
    Answered { call_id: CallId },
    /// A digit, 0–9, was recognised in the received audio.
    DigitHeard { call_id: CallId, digit: u8 },
    /// A final response of 300 or higher was sent.
    Rejected { call_id: CallId, code: u16 },
    /// The caller cancelled before the answer.
    Cancelled { call_id: CallId },
    /// An answered call was hung up.
    HungUp { call_id: CallId, by: Party },
    /// The call has ended and its audio has been recognised: the last event of the call.
    Finished { call_id: CallId, record: Arc<CallRecord> },
}

/// A side of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    Caller,
    Callee,
}

/// The result of a finished call. `Debug` hides the recognised digits.
#[derive(Clone, PartialEq)]
pub struct CallRecord {
    pub call_id: CallId,
    pub phone: Phone,
    /// The recognised code; empty if nothing was recognised or the call was not listened to.
    pub digits_heard: String,
    pub answered: bool,
    /// From the answer to the end; zero for a call that was not answered.
    pub talk_time: Duration,
    /// The received audio, 8 kHz mono; empty if the call was not listened to.
    pub samples: Arc<[i16]>,
    /// The file of the saved audio.
    pub wav: Option<PathBuf>,
}

impl SandboxEvent {
    /// The call of the event.
    pub fn call_id(&self) -> &CallId {
        match self {
            SandboxEvent::Invited { call_id, .. }
            | SandboxEvent::Ringing { call_id }
            | SandboxEvent::Answered { call_id }
            | SandboxEvent::DigitHeard { call_id, .. }
            | SandboxEvent::Rejected { call_id, .. }
            | SandboxEvent::Cancelled { call_id }
            | SandboxEvent::HungUp { call_id, .. }
            | SandboxEvent::Finished { call_id, .. } => call_id,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            SandboxEvent::Invited { .. } => "Invited",
            SandboxEvent::Ringing { .. } => "Ringing",
            SandboxEvent::Answered { .. } => "Answered",
            SandboxEvent::DigitHeard { .. } => "DigitHeard",
            SandboxEvent::Rejected { .. } => "Rejected",
            SandboxEvent::Cancelled { .. } => "Cancelled",
            SandboxEvent::HungUp { .. } => "HungUp",
            SandboxEvent::Finished { .. } => "Finished",
        }
    }
}

impl fmt::Debug for SandboxEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.call_id())
    }
}

impl fmt::Debug for CallRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallRecord")
            .field("call_id", &self.call_id)
            .field("phone", &self.phone)
            .field("answered", &self.answered)
            .field("talk_time", &self.talk_time)
            .finish_non_exhaustive()
    }
}
