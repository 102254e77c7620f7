//! One outgoing call: its INVITE, its CANCEL, and the dialogs that the network opens for it.
//!
//! Responses to the call's requests are handled in `responses`, requests of the far end in `requests`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Invite, SipEvent};
use super::context::Context;
use super::dialog::{self, Identity};
use super::digest::{AnsweredRealms, AuthField};
use super::transaction::{
    InviteAction, InviteState, InviteTransaction, RequestState, RequestTransaction,
};
use crate::sip::message::Method;
use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::hop::Hop;
use crate::sip::message::write::Draft;
use crate::sip::sdp::{self, LocalDescription};

mod early;
mod fork;
mod info;
mod reliable;
mod requests;
mod responses;

use early::ProvisionalResponses;
use fork::Fork;
use reliable::EarlyDialogs;

/// An INVITE that was rejected and sent again in another form. Its repeated rejections are acknowledged until
/// timer D ends.
#[derive(Debug)]
struct SupersededInvite {
    code: u16,
    branch: String,
    ack: Arc<[u8]>,
    until: Instant,
}

impl SupersededInvite {
    /// Takes a response. Returns whether it repeats the rejection.
    fn handle_response(&self, code: u16, gateway: Hop, cx: &mut Context<'_>) -> bool {
        if code == self.code {
            cx.retransmit(gateway, Method::Ack, &self.ack);
        }
        code == self.code
    }
}

/// One call. Data that only an active call needs is dropped at its end.
#[derive(Debug)]
pub(super) struct Leg {
    identity: Identity,
    invite: InviteTransaction,
    invite_branch: String,
    cseq: u32,
    gateway_timeout: Duration,
    /// The credentials of the last INVITE, for its ACK.
    authorization: Vec<AuthField>,
    answered: AnsweredRealms,
    /// The earlier INVITEs of the call.
    superseded: Vec<SupersededInvite>,
    /// The INVITE, as long as it may be retransmitted.
    invite_bytes: Option<Arc<[u8]>>,
    request_uri: String,
    fields: Vec<(&'static str, String)>,
    /// Our media description, until the end of the call.
    sdp: LocalDescription,
    /// The provisional responses, until a final one.
    provisional: Option<Box<ProvisionalResponses>>,
    /// The dialogs of reliable provisional responses, until a final response.
    early_dialogs: Option<Box<EarlyDialogs>>,
    /// The requested session interval (RFC 4028).
    session_seconds: u32,
    /// The CSeq and the response of the far end's last INVITE or UPDATE, for retransmissions.
    last_response: Option<(u32, Arc<[u8]>)>,
    failure_ack: Option<Arc<[u8]>>,
    cancel: Option<Box<RequestTransaction>>,
    forks: Vec<Fork>,
    /// The index of the fork that is the call.
    call: Option<usize>,
    /// Until then, the leg is kept to respond to a repeated BYE of the far end.
    keep_until: Option<Instant>,
    /// The deadline that the user agent has scheduled for this leg.
    pub scheduled: Option<Instant>,
}

impl Leg {
    /// Sends the first INVITE.
    pub fn start(invite: Invite, local_tag: String, cx: &mut Context<'_>) -> Leg {
        let identity = Identity {
            call_id: invite.call_id.into(),
            from_uri: invite.from_uri,
            to_uri: invite.to_uri,
            local_tag,
            local: cx.local_text(invite.local),
            gateway: invite.gateway,
            credentials: invite.credentials,
        };
        let mut leg = Leg {
            invite: InviteTransaction::start(
                cx.now,
                invite.gateway_timeout,
                invite.gateway.transport,
                cx.timers,
            ),
            invite_branch: String::new(),
            cseq: 0,
            gateway_timeout: invite.gateway_timeout,
            authorization: Vec::new(),
            answered: AnsweredRealms::default(),
            superseded: Vec::new(),
            invite_bytes: None,
            request_uri: invite.request_uri,
            fields: invite.fields,
            sdp: LocalDescription::new(invite.sdp),
            provisional: None,
            early_dialogs: None,
            session_seconds: SESSION_SECONDS,
            last_response: None,
            failure_ack: None,
            cancel: None,
            // Nearly every call has one fork; the first push would allocate space for four.
            forks: Vec::with_capacity(1),
            call: None,
            keep_until: None,
            scheduled: None,
            identity,
        };
        leg.send_invite(cx);
        leg
    }

    /// Sends an INVITE with a new branch and number, and with credentials if the gateway has challenged us before.
    fn send_invite(&mut self, cx: &mut Context<'_>) {
        let (identity, uri) = (&self.identity, &self.request_uri);
        self.cseq += 1;
        self.invite_branch = cx.branch();
        self.authorization = cx.authorize(identity, Method::Invite, uri, self.sdp.text());
        let mut draft = self.request(Method::Invite, None);
        draft
            .field("Contact", contact(&self.identity))
            .field("Allow", ALLOW)
            .field("Supported", SUPPORTED)
            .field("Session-Expires", self.session_seconds)
            .field("Min-SE", MIN_SESSION_SECONDS)
            .field("User-Agent", cx.user_agent);
        for (name, value) in &self.fields {
            draft.field(name, value);
        }
        for (name, value) in &self.authorization {
            draft.field(name, value);
        }
        draft.body(sdp::CONTENT_TYPE, self.sdp.text().to_vec());
        let bytes: Arc<[u8]> = draft.bytes().into();
        cx.send(self.identity.gateway, Method::Invite, &bytes);
        self.invite = InviteTransaction::start(
            cx.now,
            self.gateway_timeout,
            self.identity.gateway.transport,
            cx.timers,
        );
        self.invite_bytes = Some(bytes);
    }

    pub fn call_id(&self) -> &Arc<str> {
        &self.identity.call_id
    }

    /// Whether messages from this address may belong to the call: the gateway, or an address of its dialogs.
    pub fn accepts_from(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.identity.gateway.address.ip().to_canonical() == from
            || self.forks.iter().any(|fork| fork.uses_address(from))
            || self.early_dialogs.as_ref().is_some_and(|dialogs| dialogs.use_address(from))
    }

    /// Takes the targets of a host name that one of its dialogs has as next hop.
    pub fn resolve(&mut self, name: &GatewayUri, targets: &[Hop]) {
        for fork in &mut self.forks {
            fork.resolve(name, targets);
        }
        if let Some(dialogs) = &mut self.early_dialogs {
            dialogs.resolve(name, targets);
        }
    }

    /// Ends the call. After the answer: BYE. Before it: CANCEL as soon as the gateway has responded, and ACK
    /// and BYE if a 2xx still arrives.
    pub fn give_up(&mut self, cx: &mut Context<'_>) {
        if let Some(index) = self.call.take() {
            self.forks[index].hang_up(&self.identity, cx);
        }
        if self.invite.abandon(cx.now, cx.timers) {
            self.send_cancel(cx);
        }
        self.release();
    }

    /// Ends a call whose INVITE could not be sent. Once the gateway has responded, lost messages are recovered
    /// by retransmission, and the call goes on.
    pub fn transport_failed(&mut self, cx: &mut Context<'_>) {
        if self.invite.state == InviteState::Calling {
            self.invite.abandon(cx.now, cx.timers);
            self.release();
            cx.emit(SipEvent::TransportFailed);
        }
        for fork in &mut self.forks {
            fork.transport_failed(cx);
        }
    }

    /// Drops the data that only an active call needs.
    fn release(&mut self) {
        self.sdp = LocalDescription::default();
        self.fields = Vec::new();
        self.authorization = Vec::new();
        self.answered = AnsweredRealms::default();
        self.invite_bytes = None;
        self.provisional = None;
        self.early_dialogs = None;
        self.last_response = None;
    }

    /// The INVITE, or the CANCEL or ACK with the same branch and number. `to`: the value of To; by default ours
    /// without a tag.
    fn request(&self, method: Method, to: Option<&str>) -> Draft {
        let identity = &self.identity;
        let mut draft = Draft::request(method, &self.request_uri);
        let transport = identity.gateway.transport;
        dialog::via(&mut draft, &identity.local, transport, &self.invite_branch);
        draft
            .field("Max-Forwards", 70)
            .field("From", format_args!("<{}>;tag={}", identity.from_uri, identity.local_tag));
        match to {
            Some(to) => draft.field("To", to),
            None => draft.field("To", format_args!("<{}>", identity.to_uri)),
        };
        draft
            .field("Call-ID", &identity.call_id)
            .field("CSeq", format_args!("{} {}", self.cseq, method.name()));
        draft
    }

    fn send_cancel(&mut self, cx: &mut Context<'_>) {
        if self.cancel.is_some() {
            return;
        }
        // §9.1: with the branch, request-URI, From, To and CSeq number of the INVITE.
        let draft = self.request(Method::Cancel, None);
        let bytes: Arc<[u8]> = draft.bytes().into();
        cx.send(self.identity.gateway, Method::Cancel, &bytes);
        self.invite.cancelled(cx.now, cx.timers);
        let branch = self.invite_branch.clone();
        self.cancel = Some(Box::new(RequestTransaction::start(
            cx.now,
            branch,
            bytes,
            self.identity.gateway.transport,
            cx.timers,
        )));
    }

    /// When to call [`Leg::tick`] next.
    pub fn deadline(&self) -> Option<Instant> {
        let mut first = earlier(self.invite.deadline(), self.keep_until);
        for fork in &self.forks {
            first = earlier(first, fork.deadline());
        }
        if let Some(cancel) = &self.cancel {
            first = earlier(first, cancel.deadline());
        }
        for superseded in &self.superseded {
            first = earlier(first, Some(superseded.until));
        }
        if let Some(dialogs) = &self.early_dialogs {
            first = earlier(first, dialogs.deadline());
        }
        first
    }

    /// Runs the timers that are due.
    pub fn tick(&mut self, cx: &mut Context<'_>) {
        match self.invite.tick(cx.now, cx.timers) {
            InviteAction::Nothing | InviteAction::Terminated => {}
            InviteAction::Retransmit => {
                if let Some(bytes) = &self.invite_bytes {
                    cx.retransmit(self.identity.gateway, Method::Invite, bytes);
                }
            }
            InviteAction::TimedOut => {
                self.release();
                cx.emit(SipEvent::TimedOut);
            }
        }
        if let Some(cancel) = &mut self.cancel
            && let Some(bytes) = cancel.tick(cx.now, cx.timers)
        {
            cx.retransmit(self.identity.gateway, Method::Cancel, &bytes);
        }
        for fork in &mut self.forks {
            fork.tick(cx);
        }
        if let Some(dialogs) = &mut self.early_dialogs {
            dialogs.tick(cx);
        }
        self.superseded.retain(|invite| invite.until > cx.now);
        if self.keep_until.is_some_and(|until| until <= cx.now) {
            self.keep_until = None;
        }
    }

    /// Whether the call has ended and the far end has confirmed it or has been given up.
    pub fn is_settled(&self) -> bool {
        let has_ended = match self.invite.state {
            InviteState::Calling | InviteState::Proceeding | InviteState::Abandoned => false,
            InviteState::Accepted | InviteState::Completed | InviteState::Terminated => true,
        };
        has_ended && self.forks.iter().all(Fork::is_settled)
    }

    /// Whether no transaction or dialog is left.
    pub fn is_over(&self) -> bool {
        let cancel = self.cancel.as_ref();
        self.invite.state == InviteState::Terminated
            && self.keep_until.is_none()
            && self.superseded.is_empty()
            && cancel.is_none_or(|cancel| cancel.state == RequestState::Terminated)
            && self.forks.iter().all(Fork::is_over)
    }

    /// Its approximate memory in bytes, itself included.
    pub fn bytes_held(&self) -> usize {
        let shared = |bytes: &Option<Arc<[u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        let forks: usize = self.forks.iter().map(Fork::bytes_held).sum();
        let cancel = self
            .cancel
            .as_ref()
            .map_or(0, |cancel| size_of::<RequestTransaction>() + cancel.bytes_held());
        let provisional = self.provisional.as_ref().map_or(0, |p| p.bytes_held());
        let early_dialogs = self.early_dialogs.as_ref().map_or(0, |d| d.bytes_held());
        let superseded: usize = self
            .superseded
            .iter()
            .map(|c| size_of::<SupersededInvite>() + c.branch.capacity() + c.ack.len())
            .sum();
        let authorization: usize = self
            .authorization
            .iter()
            .map(|(_, value)| size_of::<AuthField>() + value.capacity())
            .sum();
        size_of::<Self>()
            + superseded
            + authorization
            + self.answered.bytes_held()
            + self.identity.bytes_held()
            + self.invite_branch.capacity()
            + self.request_uri.capacity()
            + self.sdp.bytes_held()
            + self.forks.capacity() * size_of::<Fork>()
            + shared(&self.invite_bytes)
            + shared(&self.failure_ack)
            + forks
            + cancel
            + provisional
            + early_dialogs
    }
}

/// The earlier of two optional deadlines.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The methods that are accepted within a call.
const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, PRACK";
const SUPPORTED: &str = "100rel, timer";
/// Calls are much shorter than the session, so that we never refresh it (RFC 4028).
const SESSION_SECONDS: u32 = 1800;
const MIN_SESSION_SECONDS: u32 = 90;

fn contact(identity: &Identity) -> String {
    dialog::contact(dialog::DEFAULT_USER, &identity.local, identity.gateway.transport)
}
