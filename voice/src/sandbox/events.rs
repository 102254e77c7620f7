//! What the sandbox carrier tells whoever watches it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nexo_domain::phone::Phone;

/// A call's `Call-ID`, shared by everything that speaks of the call.
pub type CallId = Arc<str>;

/// News of one call, in the order in which it happens. `Debug` hides what was heard.
#[derive(Clone, PartialEq)]
pub enum SandboxEvent {
    /// An INVITE came.
    Invited { call_id: CallId, phone: Phone },
    /// 180 was sent.
    Ringing { call_id: CallId },
    /// 200 was sent.
    Answered { call_id: CallId },
    /// A digit, 0–9, was recognised in the received audio.
    DigitHeard { call_id: CallId, digit: u8 },
    /// A final answer of 300 or more was sent.
    Rejected { call_id: CallId, code: u16 },
    /// The caller gave up before the answer.
    Cancelled { call_id: CallId },
    /// An answered call was hung up.
    HungUp { call_id: CallId, by: Party },
    /// The call is over and recognition with it: the last news of the call.
    Finished {
        call_id: CallId,
        record: Arc<CallRecord>,
    },
}

/// A side of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    Caller,
    Callee,
}

/// What is known of a finished call. `Debug` hides what was heard.
#[derive(Clone, PartialEq)]
pub struct CallRecord {
    pub call_id: CallId,
    pub phone: Phone,
    /// The code as the far end understood it; empty when nothing was recognised or nobody listened.
    pub digits_heard: String,
    pub answered: bool,
    /// From the answer to the end; zero for a call that was not answered.
    pub talked: Duration,
    /// The received audio, 8 kHz mono; empty when nobody listened.
    pub samples: Arc<[i16]>,
    /// Where the audio was saved.
    pub wav: Option<PathBuf>,
}

impl SandboxEvent {
    /// The call that the news is of.
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
            .field("talked", &self.talked)
            .finish_non_exhaustive()
    }
}
