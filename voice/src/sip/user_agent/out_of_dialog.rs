//! Our requests outside calls, OPTIONS and REGISTER: retransmission, authorization and timeout.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bindings;
use super::call::RequestOutcome;
use super::context::Context;
use super::dialog::{self, Identity};
use super::digest::{AnsweredRealms, Credentials};
use super::transaction::{RequestState, RequestTransaction};
use crate::sip::message::header::leading_number;
use crate::sip::message::hop::Hop;
use crate::sip::message::write::Draft;
use crate::sip::message::{Method, Response};

/// The parameters of a request. URIs are complete `sip:` URIs without brackets.
#[derive(Clone, Debug)]
pub struct RequestParams {
    pub kind: RequestKind,
    pub call_id: String,
    /// The CSeq number. The request with credentials uses the next one.
    pub cseq: u32,
    pub gateway: Hop,
    pub credentials: Option<Arc<Credentials>>,
    /// Our address, as the gateway sees it.
    pub local: SocketAddr,
    pub request_uri: String,
    pub from_uri: String,
    pub to_uri: String,
    /// How long to wait for a final response.
    pub timeout: Duration,
}

/// The kinds of requests outside calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RequestKind {
    /// Probes whether the gateway responds (RFC 3261 §11).
    Options,
    /// Registers our address as `user` (RFC 3261 §10.2). 0 seconds ends the registration.
    Register { user: String, expires_seconds: u32 },
}

impl RequestKind {
    fn method(&self) -> Method {
        match self {
            RequestKind::Options => Method::Options,
            RequestKind::Register { .. } => Method::Register,
        }
    }
}

/// A request without a final response.
#[derive(Debug)]
pub(super) struct PendingRequest {
    identity: Identity,
    kind: RequestKind,
    request_uri: String,
    cseq: u32,
    transaction: RequestTransaction,
    sent_at: Instant,
    expires_at: Instant,
    answered: AnsweredRealms,
    is_over: bool,
}

impl PendingRequest {
    pub fn start(params: RequestParams, local_tag: String, cx: &mut Context<'_>) -> PendingRequest {
        let identity = Identity {
            call_id: params.call_id.into(),
            from_uri: params.from_uri,
            to_uri: params.to_uri,
            local_tag,
            local: cx.local_text(params.local),
            gateway: params.gateway,
            credentials: params.credentials,
        };
        let (kind, request_uri) = (params.kind, params.request_uri);
        let transaction = send(&identity, &kind, &request_uri, params.cseq, cx);
        PendingRequest {
            identity,
            kind,
            request_uri,
            cseq: params.cseq,
            transaction,
            sent_at: cx.now,
            expires_at: cx.now + params.timeout,
            answered: AnsweredRealms::default(),
            is_over: false,
        }
    }

    pub fn call_id(&self) -> &Arc<str> {
        &self.identity.call_id
    }

    /// Whether a response from this hop may belong to the request.
    pub fn accepts_from(&self, from: Hop) -> bool {
        self.identity.gateway.canonical() == from.canonical()
    }

    /// Takes a response. Returns whether it belongs to this request.
    pub fn handle_response(&mut self, response: &Response, cx: &mut Context<'_>) -> bool {
        let branch = response.via().and_then(|via| via.branch());
        if branch != Some(&self.transaction.branch) || self.is_over {
            return false;
        }
        let code = response.code();
        if !self.transaction.handle_response(code, cx.now, cx.timers) {
            return true;
        }
        let mut weak_challenge = None;
        match cx.handle_challenge(&self.identity, response, &mut self.answered) {
            Ok(true) => {
                self.cseq += 1;
                let (identity, uri) = (&self.identity, &self.request_uri);
                self.transaction = send(identity, &self.kind, uri, self.cseq, cx);
                self.sent_at = cx.now;
                return true;
            }
            Ok(false) => {}
            Err(weak) => weak_challenge = Some(weak),
        }
        self.is_over = true;
        cx.emit_outcome(RequestOutcome::Answered {
            code,
            cseq: self.cseq,
            round_trip: cx.now.saturating_duration_since(self.sent_at),
            expires_seconds: self.granted_seconds(response),
            min_expires_seconds: response.named("Min-Expires").and_then(leading_number),
            retry_after_seconds: response.retry_after_seconds(),
            weak_challenge,
        });
        true
    }

    /// How long the registration is valid.
    fn granted_seconds(&self, response: &Response) -> Option<u32> {
        let RequestKind::Register { user, expires_seconds } = &self.kind else {
            return None;
        };
        let ours = dialog::contact(user, &self.identity.local, self.identity.gateway.transport);
        Some(bindings::granted_seconds(response, &ours, *expires_seconds))
    }

    /// Ends the request: it could not be sent.
    pub fn transport_failed(&mut self, cx: &mut Context<'_>) {
        if !self.is_over {
            self.is_over = true;
            cx.emit_outcome(RequestOutcome::TransportFailed { cseq: self.cseq });
        }
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// When to call [`PendingRequest::tick`] next.
    pub fn deadline(&self) -> Instant {
        let timers = self.transaction.deadline();
        timers.map_or(self.expires_at, |timer| timer.min(self.expires_at))
    }

    /// Runs the timers that are due.
    pub fn tick(&mut self, cx: &mut Context<'_>) {
        let retransmission = self.transaction.tick(cx.now, cx.timers);
        let is_terminated = self.transaction.state == RequestState::Terminated;
        if is_terminated || self.expires_at <= cx.now {
            self.is_over = true;
            cx.emit_outcome(RequestOutcome::TimedOut { cseq: self.cseq });
        } else if let Some(bytes) = retransmission {
            cx.retransmit(self.identity.gateway, self.kind.method(), &bytes);
        }
    }
}

fn send(
    identity: &Identity,
    kind: &RequestKind,
    request_uri: &str,
    cseq: u32,
    cx: &mut Context<'_>,
) -> RequestTransaction {
    let (method, branch) = (kind.method(), cx.branch());
    let (local, transport) = (identity.local.as_ref(), identity.gateway.transport);
    let mut draft = Draft::request(method, request_uri);
    dialog::via(&mut draft, local, transport, &branch);
    draft
        .field("Max-Forwards", 70)
        .field("From", format_args!("<{}>;tag={}", identity.from_uri, identity.local_tag))
        .field("To", format_args!("<{}>", identity.to_uri))
        .field("Call-ID", &identity.call_id)
        .field("CSeq", format_args!("{cseq} {}", method.name()));
    match kind {
        RequestKind::Options => draft
            .field("Contact", dialog::contact(dialog::DEFAULT_USER, local, transport))
            .field("Accept", "application/sdp"),
        RequestKind::Register { user, expires_seconds } => draft
            .field("Contact", dialog::contact(user, local, transport))
            .field("Expires", expires_seconds),
    };
    draft.field("User-Agent", cx.user_agent);
    for (name, value) in cx.authorize(identity, method, request_uri, b"") {
        draft.field(name, value);
    }
    let bytes: Arc<[u8]> = draft.bytes().into();
    cx.send(identity.gateway, method, &bytes);
    RequestTransaction::start(cx.now, branch, bytes, transport, cx.timers)
}
