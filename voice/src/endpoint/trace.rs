//! The messages of one call as they pass: what an engineer sends to a carrier as its ladder.

use std::time::Instant;

use tokio::sync::mpsc;

use crate::sip::message::hop::Hop;
use crate::sip::message::message::Message;

/// Where a call's messages are told, those after its end included.
pub type Trace = mpsc::UnboundedSender<Traced>;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    pub at: Instant,
    pub direction: Direction,
    /// The other side.
    pub peer: Hop,
    /// Such as `INVITE` or `180 Ringing (INVITE)`. No number and no credential.
    pub what: String,
    /// Whether the same bytes were sent before.
    pub is_repeat: bool,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Sent,
    Received,
}

/// A message in a few words.
pub(super) fn outline(datagram: &[u8]) -> String {
    match Message::parse(datagram) {
        Ok(Message::Request(request)) => request.method().name().to_owned(),
        Ok(Message::Response(response)) => {
            let (code, reason) = (response.code(), response.reason());
            format!("{code} {reason} ({})", response.cseq_method().name())
        }
        Err(_) => "not SIP".to_owned(),
    }
}
