//! One outgoing call: its INVITE, its CANCEL, and every dialog that the network makes of it.
//!
//! | the call is | a 2xx comes | then |
//! |---|---|---|
//! | wanted | the first | ACK; this is the call |
//! | wanted | forked, with another To tag | ACK, BYE |
//! | given up, cancelled or silent | any | ACK, BYE |
//! | answered | the same again | the same ACK again |
//!
//! A 401 or 407 is acknowledged and answered with a new INVITE, once for each kind, and once more where
//! the gateway says that only the nonce was too old.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Invite, SipEvent};
use super::context::Outlet;
use super::dialog::{self, Dialog, Identity};
use super::digest::Answer;
use super::transaction::{
    InviteDue, InviteState, InviteTransaction, RequestState, RequestTransaction,
};
use crate::sip::message::header::Name;
use crate::sip::message::hop::Hop;
use crate::sip::message::message::{Method, Response};
use crate::sip::message::write::Draft;
use crate::sip::sdp::sdp;

mod early;
mod fork;
mod reliable;
mod requests;

use early::Early;
use fork::Fork;
use reliable::EarlyDialogs;

/// What the network may make of one INVITE; a fork beyond it is hung up without being remembered.
const MOST_FORKS: usize = 16;

/// An INVITE that was challenged. Its repeated answers are acknowledged again until timer D ends.
#[derive(Debug)]
struct Challenged {
    code: u16,
    branch: String,
    ack: Arc<[u8]>,
    until: Instant,
}

impl Challenged {
    /// Takes an answer to it: whether it is a repeated challenge, as it must be.
    fn answered(&self, code: u16, gateway: Hop, out: &mut Outlet<'_>) -> bool {
        if code == self.code {
            out.send_again(gateway, Method::Ack, &self.ack);
        }
        code == self.code
    }
}

/// One call. What a living call alone needs is dropped as soon as it has ended.
#[derive(Debug)]
pub(in crate::sip) struct Leg {
    identity: Identity,
    invite: InviteTransaction,
    invite_branch: String,
    cseq: u32,
    gateway_timeout: Duration,
    /// What the last INVITE was authorized with, until it is answered.
    authorization: Vec<Answer>,
    /// INVITEs that were challenged, and are repeated with credentials since.
    challenged: Vec<Challenged>,
    /// The INVITE, until nothing can make us send it again.
    invite_bytes: Option<Arc<[u8]>>,
    request_uri: String,
    fields: Vec<(&'static str, String)>,
    /// Our description, for a re-INVITE; until the call is over.
    sdp: Vec<u8>,
    /// The provisional answers, until a final one.
    early: Option<Box<Early>>,
    /// Those that were acknowledged, until a final answer.
    reliable: Option<Box<EarlyDialogs>>,
    /// For how long the dialog is asked to last without a sign of life (RFC 4028).
    session_seconds: u32,
    /// The answer to the far end's last INVITE or UPDATE, should it ask again.
    last_answer: Option<(u32, Arc<[u8]>)>,
    failure_ack: Option<Arc<[u8]>>,
    cancel: Option<Box<RequestTransaction>>,
    forks: Vec<Fork>,
    /// The fork that is the call.
    call: Option<usize>,
    /// Until then a BYE of the far end is answered again when it is repeated.
    keep_until: Option<Instant>,
    /// The deadline that the user agent has noted for this leg.
    pub scheduled: Option<Instant>,
}

impl Leg {
    /// Sends the first INVITE.
    pub fn start(invite: Invite, local_tag: String, out: &mut Outlet<'_>) -> Leg {
        let identity = Identity {
            call_id: invite.call_id.into(),
            from_uri: invite.from_uri,
            to_uri: invite.to_uri,
            local_tag,
            local: out.written(invite.local),
            gateway: invite.gateway,
            credentials: invite.credentials,
        };
        let mut leg = Leg {
            invite: InviteTransaction::start(
                out.now,
                invite.gateway_timeout,
                invite.gateway.transport,
                out.timers,
            ),
            invite_branch: String::new(),
            cseq: 0,
            gateway_timeout: invite.gateway_timeout,
            authorization: Vec::new(),
            challenged: Vec::new(),
            invite_bytes: None,
            request_uri: invite.request_uri,
            fields: invite.fields,
            sdp: invite.sdp,
            early: None,
            reliable: None,
            session_seconds: SESSION_SECONDS,
            last_answer: None,
            failure_ack: None,
            cancel: None,
            // Nearly every call has one; a vector left to itself starts with four.
            forks: Vec::with_capacity(1),
            call: None,
            keep_until: None,
            scheduled: None,
            identity,
        };
        leg.send_invite(out);
        leg
    }

    /// Sends an INVITE with a branch and a number of its own, authorized as well as is known.
    fn send_invite(&mut self, out: &mut Outlet<'_>) {
        let (identity, uri) = (&self.identity, &self.request_uri);
        self.cseq += 1;
        self.invite_branch = out.branch();
        self.authorization = out.authorize(identity, Method::Invite, uri, &self.sdp);
        let mut draft = self.request(Method::Invite, None);
        draft
            .field("Contact", contact(&self.identity))
            .field("Allow", ALLOW)
            .field("Supported", SUPPORTED)
            .field("Session-Expires", self.session_seconds)
            .field("Min-SE", SHORTEST_SESSION_SECONDS)
            .field("User-Agent", out.user_agent);
        for (name, value) in &self.fields {
            draft.field(name, value);
        }
        for (name, value) in &self.authorization {
            draft.field(name, value);
        }
        draft.body(sdp::CONTENT_TYPE, self.sdp.clone());
        let bytes: Arc<[u8]> = draft.bytes().into();
        out.send(self.identity.gateway, Method::Invite, &bytes);
        self.invite = InviteTransaction::start(
            out.now,
            self.gateway_timeout,
            self.identity.gateway.transport,
            out.timers,
        );
        self.invite_bytes = Some(bytes);
    }

    pub fn call_id(&self) -> &Arc<str> {
        &self.identity.call_id
    }

    /// Whether the leg expects messages from there: its gateway, or where its dialogs live.
    pub fn expects(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.identity.gateway.address.ip().to_canonical() == from
            || self.forks.iter().any(|f| f.is_at(from))
    }

    /// Gives the call up. Answered: BYE. Not answered: CANCEL as soon as the gateway has said
    /// anything at all, and ACK and BYE should a 2xx still come.
    pub fn give_up(&mut self, out: &mut Outlet<'_>) {
        if let Some(place) = self.call.take() {
            self.forks[place].hang_up(&self.identity, out);
        }
        if self.invite.abandon(out.now, out.timers) {
            self.send_cancel(out);
        }
        self.let_go();
    }

    /// The INVITE could not be sent: it is not sent again. Once the gateway has the call, a lost
    /// message is mended by its repetition, and this is no reason to end the call.
    pub fn transport_failed(&mut self, out: &mut Outlet<'_>) {
        if self.invite.state == InviteState::Calling {
            self.invite.abandon(out.now, out.timers);
            self.let_go();
            out.tell(SipEvent::TransportFailed);
        }
        for fork in &mut self.forks {
            fork.transport_failed(out);
        }
    }

    /// Drops what only a living call needs.
    fn let_go(&mut self) {
        self.sdp = Vec::new();
        self.fields = Vec::new();
        self.authorization = Vec::new();
        self.invite_bytes = None;
        self.early = None;
        self.reliable = None;
        self.last_answer = None;
    }

    /// INVITE, or the CANCEL or ACK that share its branch and number.
    fn request(&self, method: Method, to: Option<&str>) -> Draft {
        let identity = &self.identity;
        let mut draft = Draft::request(method, &self.request_uri);
        let transport = identity.gateway.transport;
        dialog::via(&mut draft, &identity.local, transport, &self.invite_branch);
        draft.field("Max-Forwards", 70).field(
            "From",
            format_args!("<{}>;tag={}", identity.from_uri, identity.local_tag),
        );
        match to {
            Some(to) => draft.field("To", to),
            None => draft.field("To", format_args!("<{}>", identity.to_uri)),
        };
        draft
            .field("Call-ID", &identity.call_id)
            .field("CSeq", format_args!("{} {}", self.cseq, method.name()));
        draft
    }

    fn send_cancel(&mut self, out: &mut Outlet<'_>) {
        if self.cancel.is_some() {
            return;
        }
        // §9.1: the INVITE's branch, request-URI, From, To without a tag, and sequence number.
        let draft = self.request(Method::Cancel, None);
        let bytes: Arc<[u8]> = draft.bytes().into();
        out.send(self.identity.gateway, Method::Cancel, &bytes);
        self.invite.cancelled(out.now, out.timers);
        let branch = self.invite_branch.clone();
        self.cancel = Some(Box::new(RequestTransaction::start(
            out.now,
            branch,
            bytes,
            self.identity.gateway.transport,
            out.timers,
        )));
    }

    /// Takes an answer. Whether it belongs to anything here.
    pub fn answered(&mut self, response: &Response, out: &mut Outlet<'_>) -> bool {
        let via = response.via();
        let branch = via.and_then(|via| via.branch());
        match response.cseq_method() {
            Method::Invite if branch == Some(&self.invite_branch) => {
                self.invite_answered(response, out);
                true
            }
            Method::Invite => {
                let gateway = self.identity.gateway;
                let mut challenged = self.challenged.iter();
                match challenged.find(|c| branch == Some(&c.branch)) {
                    Some(challenged) => challenged.answered(response.code(), gateway, out),
                    None => false,
                }
            }
            Method::Cancel => match &mut self.cancel {
                Some(cancel) if branch == Some(&cancel.branch) => {
                    cancel.answered(response.code(), out.now, out.timers);
                    true
                }
                Some(_) | None => false,
            },
            Method::Prack => {
                let reliable = self.reliable.as_mut();
                reliable.is_some_and(|reliable| reliable.answered(response, out))
            }
            Method::Bye => self
                .forks
                .iter_mut()
                .any(|fork| fork.bye_answered(response, &self.identity, out)),
            _ => false,
        }
    }

    fn invite_answered(&mut self, response: &Response, out: &mut Outlet<'_>) {
        match response.code() {
            code @ 100..=199 => {
                self.invite.provisional();
                match self.invite.state {
                    InviteState::Proceeding => {
                        let (identity, target) = (&self.identity, &self.request_uri);
                        let reliable = self.reliable.get_or_insert_default();
                        reliable.take(response, identity, target, self.cseq, out);
                        if self.early.get_or_insert_default().is_new(response) {
                            out.tell(SipEvent::Provisional { code });
                        }
                    }
                    InviteState::Abandoned => self.send_cancel(out),
                    InviteState::Calling
                    | InviteState::Accepted
                    | InviteState::Completed
                    | InviteState::Terminated => {}
                }
            }
            200..=299 => self.accepted(response, out),
            code => self.rejected(response, code, out),
        }
    }

    fn accepted(&mut self, response: &Response, out: &mut Outlet<'_>) {
        let tag = response.to_tag().unwrap_or_default();
        if let Some(known) = self.forks.iter().find(|fork| fork.remote_tag == tag) {
            return known.acknowledge_again(out);
        }
        let wanted = self.invite.accepted(out.now, out.timers);
        let (identity, target) = (&self.identity, &self.request_uri);
        let early = self.reliable.as_mut().and_then(|r| r.confirmed(tag));
        let dialog = match early {
            Some(mut dialog) => {
                dialog.confirm(response, identity, target);
                dialog
            }
            None => Dialog::opened_by(response, identity, target, self.cseq),
        };
        let mut fork = Fork::open(dialog, identity, self.cseq, &self.authorization, out);
        if wanted {
            self.invite_bytes = None;
            self.reliable = None;
            self.call = Some(self.forks.len());
            let early = self.early.take();
            let sdp = match response.body() {
                [] => early.and_then(|early| early.description_of(tag)),
                body => Some(body.to_vec()),
            };
            out.tell(SipEvent::Answered {
                code: response.code(),
                sdp: sdp.unwrap_or_default(),
            });
        } else {
            fork.hang_up(identity, out);
        }
        // One too many to remember: its BYE is not sent again by itself, but each repeated 2xx
        // makes another.
        if self.forks.len() < MOST_FORKS {
            self.forks.push(fork);
        }
    }

    fn rejected(&mut self, response: &Response, code: u16, out: &mut Outlet<'_>) {
        let wanted = self.invite.failed(out.now, out.timers);
        if self.invite.state != InviteState::Completed {
            return;
        }
        match &self.failure_ack {
            Some(ack) => out.send_again(self.identity.gateway, Method::Ack, ack),
            None => {
                // §17.1.1.3: the INVITE's branch and request-URI, the answer's To.
                let draft = self.request(Method::Ack, response.value(Name::To));
                let ack: Arc<[u8]> = draft.bytes().into();
                out.send(self.identity.gateway, Method::Ack, &ack);
                self.failure_ack = Some(ack);
            }
        }
        if wanted && (self.answer_challenge(response, out) || self.lengthen(response, out)) {
            return;
        }
        self.let_go();
        if wanted {
            out.tell(SipEvent::Rejected {
                code,
                retry_after_seconds: response.retry_after_seconds(),
            });
        }
    }

    /// Where the answer is a challenge that may be answered: sends the INVITE anew. Whether it did.
    fn answer_challenge(&mut self, response: &Response, out: &mut Outlet<'_>) -> bool {
        let code = response.code();
        if !matches!(code, 401 | 407) {
            return false;
        }
        let Some(is_stale) = out.challenged(&self.identity, response) else {
            return false;
        };
        let before = self.challenged.iter().filter(|c| c.code == code).count();
        if before > usize::from(is_stale) {
            return false;
        }
        let (Some(ack), Some(until)) = (self.failure_ack.take(), self.invite.timer_end) else {
            return false;
        };
        self.challenged.push(Challenged {
            code,
            branch: std::mem::take(&mut self.invite_branch),
            ack,
            until,
        });
        self.early = None;
        self.send_invite(out);
        true
    }

    /// RFC 4028 §7.3: where the session was asked to be too short for a proxy on the way, asks for one as
    /// long as it wants, once. Whether it did.
    fn lengthen(&mut self, response: &Response, out: &mut Outlet<'_>) -> bool {
        let least = response.named("Min-SE").map(str::trim);
        let least = least.and_then(|value| value.split(';').next()?.trim().parse().ok());
        let longer = least.filter(|least| *least > self.session_seconds);
        let (Some(longer), 422, SESSION_SECONDS) = (longer, response.code(), self.session_seconds)
        else {
            return false;
        };
        self.session_seconds = longer;
        let (Some(ack), Some(until)) = (self.failure_ack.take(), self.invite.timer_end) else {
            return false;
        };
        self.challenged.push(Challenged {
            code: 422,
            branch: std::mem::take(&mut self.invite_branch),
            ack,
            until,
        });
        self.early = None;
        self.send_invite(out);
        true
    }

    /// When [`Leg::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let mut first = earlier(self.invite.deadline(), self.keep_until);
        for fork in &self.forks {
            first = earlier(first, fork.deadline());
        }
        if let Some(cancel) = &self.cancel {
            first = earlier(first, cancel.deadline());
        }
        for challenged in &self.challenged {
            first = earlier(first, Some(challenged.until));
        }
        if let Some(reliable) = &self.reliable {
            first = earlier(first, reliable.deadline());
        }
        first
    }

    /// Takes the time.
    pub fn tick(&mut self, out: &mut Outlet<'_>) {
        match self.invite.tick(out.now, out.timers) {
            InviteDue::Nothing | InviteDue::Terminated => {}
            InviteDue::SendAgain => {
                if let Some(bytes) = &self.invite_bytes {
                    out.send_again(self.identity.gateway, Method::Invite, bytes);
                }
            }
            InviteDue::Silent => {
                self.let_go();
                out.tell(SipEvent::Silent);
            }
        }
        if let Some(cancel) = &mut self.cancel
            && let Some(bytes) = cancel.tick(out.now, out.timers)
        {
            out.send_again(self.identity.gateway, Method::Cancel, &bytes);
        }
        for fork in &mut self.forks {
            fork.tick(out);
        }
        if let Some(reliable) = &mut self.reliable {
            reliable.tick(out);
        }
        self.challenged
            .retain(|challenged| challenged.until > out.now);
        if self.keep_until.is_some_and(|until| until <= out.now) {
            self.keep_until = None;
        }
    }

    /// Whether the far end knows, or will never know, that the call is over.
    pub fn is_settled(&self) -> bool {
        let has_ended = match self.invite.state {
            InviteState::Calling | InviteState::Proceeding | InviteState::Abandoned => false,
            InviteState::Accepted | InviteState::Completed | InviteState::Terminated => true,
        };
        has_ended && self.forks.iter().all(Fork::is_settled)
    }

    /// Whether nothing more can come of it.
    pub fn is_over(&self) -> bool {
        let cancelled = self.cancel.as_ref();
        self.invite.state == InviteState::Terminated
            && self.keep_until.is_none()
            && self.challenged.is_empty()
            && cancelled.is_none_or(|cancel| cancel.state == RequestState::Terminated)
            && self.forks.iter().all(Fork::is_over)
    }

    /// About how many bytes the leg holds, itself included.
    pub fn bytes_held(&self) -> usize {
        let shared = |bytes: &Option<Arc<[u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        let forks: usize = self.forks.iter().map(Fork::bytes_held).sum();
        let cancel = self.cancel.as_ref().map_or(0, |cancel| {
            size_of::<RequestTransaction>() + cancel.bytes_held()
        });
        let early = self.early.as_ref().map_or(0, |early| early.bytes_held())
            + self.reliable.as_ref().map_or(0, |r| r.bytes_held());
        let challenged: usize = self
            .challenged
            .iter()
            .map(|c| size_of::<Challenged>() + c.branch.capacity() + c.ack.len())
            .sum();
        let authorization: usize = self
            .authorization
            .iter()
            .map(|(_, value)| size_of::<Answer>() + value.capacity())
            .sum();
        challenged
            + authorization
            + size_of::<Self>()
            + self.identity.bytes_held()
            + self.invite_branch.capacity()
            + self.request_uri.capacity()
            + self.sdp.capacity()
            + self.forks.capacity() * size_of::<Fork>()
            + shared(&self.invite_bytes)
            + shared(&self.failure_ack)
            + forks
            + cancel
            + early
    }
}

/// The earlier of two deadlines, where there are any.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What a caller answers to within a call.
const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, PRACK";
const SUPPORTED: &str = "100rel, timer";
/// No call lasts half as long as any session that RFC 4028 allows: nothing is ever refreshed by us.
const SESSION_SECONDS: u32 = 1800;
const SHORTEST_SESSION_SECONDS: u32 = 90;

fn contact(identity: &Identity) -> String {
    dialog::contact(dialog::USER, &identity.local, identity.gateway.transport)
}
