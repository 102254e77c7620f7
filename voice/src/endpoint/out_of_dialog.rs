//! What a gateway can be asked outside of any call.

use std::sync::Arc;
use std::time::Duration;

use super::trace::Trace;
use crate::sip::message::hop::Hop;
pub use crate::sip::user_agent::Ask;
use crate::sip::user_agent::digest::Credentials;

/// A question to a gateway.
#[derive(Clone, Debug)]
pub struct Question {
    pub ask: Ask,
    pub gateway: Hop,
    /// Host and port as they stand in SIP URIs.
    pub gateway_host: String,
    /// The host alone: the domain of what is registered.
    pub gateway_domain: String,
    /// Who we are to the gateway, should it ask.
    pub credentials: Option<Arc<Credentials>>,
    /// The same for all registrations of one address (RFC 3261 §10.2).
    pub call_id: String,
    /// Rises by at least one from registration to registration.
    pub cseq: u32,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Where the messages are told.
    pub trace: Option<Trace>,
}
