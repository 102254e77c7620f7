//! Requests to a gateway outside calls.

use std::sync::Arc;
use std::time::Duration;

use super::trace::TraceSender;
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::RequestKind;
use crate::sip::user_agent::digest::Credentials;

/// A request outside calls.
#[derive(Clone, Debug)]
pub struct OutOfDialogRequest {
    pub kind: RequestKind,
    pub gateway: Hop,
    /// Host and port of the gateway, as written in SIP URIs.
    pub gateway_host: String,
    /// The host alone: the domain of a registered address.
    pub gateway_domain: String,
    /// Our credentials, in case the gateway challenges the request.
    pub credentials: Option<Arc<Credentials>>,
    /// The same for all registrations of an address (RFC 3261 §10.2).
    pub call_id: String,
    /// Higher than in the previous registration.
    pub cseq: u32,
    /// How long to wait for a final response.
    pub timeout: Duration,
    /// Receives the messages.
    pub trace: Option<TraceSender>,
}
