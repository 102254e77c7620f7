//! The messages of a call or request as they pass, for diagnostics.

use std::time::Instant;

use tokio::sync::mpsc;

use crate::sip::message::Message;
use crate::sip::message::hop::Hop;

/// Receives the messages of a call or request, including those after its end.
pub type TraceSender = mpsc::UnboundedSender<TracedMessage>;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedMessage {
    pub at: Instant,
    pub direction: Direction,
    /// The other side.
    pub peer: Hop,
    /// Such as `INVITE` or `180 Ringing (INVITE)`. Contains no number and no credentials.
    pub summary: String,
    /// Whether the same bytes were sent before.
    pub is_retransmission: bool,
}

/// The direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Sent,
    Received,
}

/// The start line of a message, without its URI.
pub(super) fn summary(message: &[u8]) -> String {
    match Message::parse(message) {
        Ok(Message::Request(request)) => request.method().name().to_owned(),
        Ok(Message::Response(response)) => {
            let (code, reason) = (response.code(), response.reason());
            format!("{code} {reason} ({})", response.cseq_method().name())
        }
        Err(_) => "not SIP".to_owned(),
    }
}
