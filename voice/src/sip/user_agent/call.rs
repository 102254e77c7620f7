//! What goes into a user agent and comes out of it, call by call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::digest::Credentials;
use crate::sip::message::hop::Hop;
use crate::sip::message::message::Method;

/// One call of a user agent, or one question outside of any.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallHandle(pub(in crate::sip) u64);

impl CallHandle {
    /// The handle as a number, for those who carry its messages.
    pub fn token(self) -> u64 {
        self.0
    }

    pub fn of_token(token: u64) -> CallHandle {
        CallHandle(token)
    }
}

/// A call to be placed. Every URI is a whole `sip:` URI without brackets.
#[derive(Clone, Debug)]
pub struct Invite {
    /// Unique; no other call of this user agent has it.
    pub call_id: String,
    /// Where the INVITE is sent.
    pub gateway: Hop,
    /// Who we are to the gateway, should it ask.
    pub credentials: Option<Arc<Credentials>>,
    /// Our address as the gateway is to see it.
    pub local: SocketAddr,
    pub request_uri: String,
    pub from_uri: String,
    pub to_uri: String,
    /// What the INVITE says besides, such as who is asserted to call.
    pub fields: Vec<(&'static str, String)>,
    pub sdp: Vec<u8>,
    /// How long the gateway may say nothing at all: a short timer B.
    pub gateway_timeout: Duration,
}

/// News of a call. At most one of `Rejected`, `Silent`, `RemoteHungUp` and `TransportFailed` comes,
/// and none after the call was cancelled or hung up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SipEvent {
    /// A 1xx that differs from those before.
    Provisional { code: u16 },
    /// The first 2xx; it has been acknowledged. A description that it lacks is that of the
    /// provisional answers before, where they came from the same far end.
    Answered { code: u16, sdp: Vec<u8> },
    /// A final answer of 300 or more. A 3xx is never followed.
    Rejected {
        code: u16,
        retry_after_seconds: Option<u32>,
    },
    /// No answer of any kind within the gateway's time. What still comes late is cancelled, or
    /// acknowledged and hung up.
    Silent,
    /// The far end described its media anew, in mid-call; it has been answered.
    MediaChanged { sdp: Vec<u8> },
    /// The far end hung up the answered call.
    RemoteHungUp,
    /// The INVITE could not be sent.
    TransportFailed,
}

/// What became of a question outside of any call. `cseq` is the last number that it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SipAnswer {
    /// A final answer, to the question as it was authorized at last.
    Answered {
        code: u16,
        cseq: u32,
        round_trip: Duration,
        /// For how long we are registered.
        expires_seconds: Option<u32>,
        /// The shortest registration that is taken (423).
        min_expires_seconds: Option<u32>,
        retry_after_seconds: Option<u32>,
    },
    /// None within its time.
    Silent { cseq: u32 },
    /// It could not be sent.
    TransportFailed { cseq: u32 },
}

/// A datagram to be sent.
#[derive(Clone, Debug)]
pub struct Transmit {
    pub to: Hop,
    pub bytes: Arc<[u8]>,
    /// The call or the question that it is of, if any.
    pub call: Option<CallHandle>,
    pub kind: Kind,
    /// Whether the same bytes were sent before.
    pub is_repeat: bool,
}

/// What a datagram is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Request(Method),
    /// With its status code.
    Response(u16),
}
