//! The inputs and outputs of a user agent for each call and request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nexo_domain::call::WeakChallenge;

use super::digest::Credentials;
use crate::rtp::wire::telephone_event::DtmfKey;
use crate::sip::message::Method;
use crate::sip::message::hop::Hop;

/// Identifies a call of a user agent, or a request outside calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallHandle(pub(super) u64);

impl CallHandle {
    /// The handle as a number, for the transport.
    pub fn token(self) -> u64 {
        self.0
    }

    /// The handle of a [`CallHandle::token`].
    pub fn from_token(token: u64) -> CallHandle {
        CallHandle(token)
    }
}

/// The parameters of a call to place. URIs are complete `sip:` URIs without brackets.
#[derive(Clone, Debug)]
pub struct Invite {
    /// Unique among the calls of this user agent.
    pub call_id: String,
    /// The destination of the INVITE.
    pub gateway: Hop,
    /// Our credentials, in case the gateway challenges the request.
    pub credentials: Option<Arc<Credentials>>,
    /// Our address, as the gateway sees it.
    pub local: SocketAddr,
    pub request_uri: String,
    pub from_uri: String,
    pub to_uri: String,
    /// Additional header fields, such as P-Asserted-Identity.
    pub fields: Vec<(&'static str, String)>,
    pub sdp: Vec<u8>,
    /// How long to wait for any response: a short timer B.
    pub gateway_timeout: Duration,
}

/// An event of a call. At most one of `Rejected`, `WeakChallenge`, `TimedOut`, `RemoteHungUp` and `TransportFailed` occurs,
/// and none after [`UserAgent::hang_up`](super::UserAgent::hang_up).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SipEvent {
    /// A 1xx that differs from the previous ones.
    Provisional { code: u16 },
    /// The media description of a 1xx. The 2xx may have another.
    EarlyDescription { sdp: Vec<u8> },
    /// The first 2xx, which has been acknowledged. If it has no description, `sdp` is that of the same far
    /// end's provisional responses.
    Answered { code: u16, sdp: Vec<u8> },
    /// A final response of 300 or more. A redirection is not followed.
    Rejected { code: u16, retry_after_seconds: Option<u32> },
    /// A 401 or 407 that is not answered, because it is weaker than the configuration requires.
    WeakChallenge(WeakChallenge),
    /// No response within the gateway timeout. A late provisional response is answered with CANCEL, a late
    /// 2xx with ACK and BYE.
    TimedOut,
    /// The far end sent a new media description during the call; it has been answered.
    MediaChanged { sdp: Vec<u8> },
    /// The far end reported a key by INFO, and how long it was held; zero if it did not say.
    KeyPressed { key: DtmfKey, held: Duration },
    /// The far end hung up.
    RemoteHungUp,
    /// The INVITE could not be sent.
    TransportFailed,
}

/// The outcome of a request outside calls. `cseq` is its last CSeq number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// A final response, after authorization if the gateway required it.
    Answered {
        code: u16,
        cseq: u32,
        round_trip: Duration,
        /// How long the registration is valid.
        expires_seconds: Option<u32>,
        /// The shortest registration that the registrar accepts (423).
        min_expires_seconds: Option<u32>,
        retry_after_seconds: Option<u32>,
        /// Why a 401 or 407 was not answered, if the challenge is too weak.
        weak_challenge: Option<WeakChallenge>,
    },
    /// No final response within the timeout.
    TimedOut { cseq: u32 },
    /// The request could not be sent.
    TransportFailed { cseq: u32 },
}

/// A message to send.
#[derive(Clone, Debug)]
pub struct Transmit {
    pub to: Hop,
    pub bytes: Arc<[u8]>,
    /// The call or request that the message belongs to, if any.
    pub call: Option<CallHandle>,
    pub kind: MessageKind,
    /// Whether the same bytes were sent before.
    pub is_retransmission: bool,
}

/// The kind of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MessageKind {
    Request(Method),
    /// A response with this status code.
    Response(u16),
}
