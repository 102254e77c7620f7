//! The order for a call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nexo_domain::call::CallLimits;
use nexo_domain::otp::{Code, Reading};

use crate::audio::g711::Codec;
use crate::endpoint::trace::TraceSender;
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::digest::Credentials;

/// The caller's number and how it is presented (RFC 3323, RFC 3325).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerId {
    /// The presented number, or `anonymous`.
    pub number: String,
    /// The user part of From, if it is not the number.
    pub from_user: Option<String>,
    /// The domain of From and P-Asserted-Identity. `None`: our address.
    pub domain: Option<String>,
    /// Whether P-Asserted-Identity contains the number.
    pub asserts_identity: bool,
    /// Whether the number is withheld from the callee.
    pub is_private: bool,
}

impl CallerId {
    /// Presents this number, without further settings.
    pub fn from_number(number: &str) -> CallerId {
        CallerId {
            number: number.to_owned(),
            from_user: None,
            domain: None,
            asserts_identity: false,
            is_private: false,
        }
    }

    /// The URI of From. Anonymous (RFC 3323 §4.1.1.3) if the number is withheld or missing.
    pub(crate) fn uri(&self, local: SocketAddr) -> String {
        let user = self.from_user.as_ref().unwrap_or(&self.number);
        match user.as_str() {
            _ if self.is_private => ANONYMOUS_URI.to_owned(),
            "anonymous" => ANONYMOUS_URI.to_owned(),
            user => format!("sip:{user}@{}", self.domain_or(local)),
        }
    }

    /// The header fields that tell the gateway the number and its privacy.
    pub(crate) fn fields(&self, local: SocketAddr) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        if self.asserts_identity && self.number != "anonymous" {
            let (number, domain) = (&self.number, self.domain_or(local));
            fields.push(("P-Asserted-Identity", format!("<sip:{number}@{domain}>")));
        }
        if self.is_private {
            fields.push(("Privacy", "id".to_owned()));
        }
        fields
    }

    fn domain_or(&self, local: SocketAddr) -> String {
        match (&self.domain, local) {
            (Some(domain), _) => domain.clone(),
            (None, SocketAddr::V4(local)) => local.ip().to_string(),
            (None, SocketAddr::V6(local)) => format!("[{}]", local.ip()),
        }
    }
}

const ANONYMOUS_URI: &str = "sip:anonymous@anonymous.invalid";

/// A call to place. Deliberately without `Debug`: it contains a phone number and the code.
pub struct CallOrder {
    /// Unique among all calls.
    pub call_id: String,
    /// The labels of its metrics.
    pub labels: CallLabels,
    pub gateway: Hop,
    /// Our credentials, in case the gateway challenges the call.
    pub credentials: Option<Arc<Credentials>>,
    /// Host and port of the gateway, as written in SIP URIs.
    pub gateway_host: String,
    /// The callee in the gateway's number format: digits with an optional leading plus.
    pub number: String,
    pub caller: CallerId,
    /// The offered codecs, the preferred one first.
    pub codecs: Vec<Codec>,
    pub code: Code,
    pub reading: Reading,
    /// How long to wait for any response.
    pub gateway_timeout: Duration,
    pub limits: CallLimits,
    /// Whether SRTP is required. A far end without it is hung up before any audio is sent.
    pub srtp: bool,
    /// How long the far end's host may refuse our audio (ICMP) until the media counts as lost, if nothing was
    /// ever received from the far end. 0: for ever.
    pub media_timeout: Duration,
    /// Whether all events are delivered. Otherwise only the decisive ones, from which the outcome can be
    /// determined if the endpoint fails: each event wakes the receiver.
    pub wants_all_events: bool,
    /// Receives the messages of the call.
    pub trace: Option<TraceSender>,
    /// Checked right before the INVITE is sent.
    pub permit: Option<Arc<dyn Permit>>,
}

/// Permission to place a call.
pub trait Permit: Send + Sync {
    /// Whether a call may be placed now.
    fn may_dial(&self) -> bool;
}

/// The labels of a call's metrics. They must have few values and never depend on the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallLabels {
    /// Such as `viettel`.
    pub carrier: &'static str,
    /// `live`, or `test` for calls to the sandbox.
    pub realm: &'static str,
}
