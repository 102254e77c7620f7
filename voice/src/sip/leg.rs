//! One outgoing call: its INVITE, its CANCEL, and every dialog that the network makes of it.
//!
//! | the call is | a 2xx comes | then |
//! |---|---|---|
//! | wanted | the first | ACK; this is the call |
//! | wanted | forked, with another To tag | ACK, BYE |
//! | given up, cancelled or silent | any | ACK, BYE |
//! | answered | the same again | the same ACK again |

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::dialog::{self, Dialog, Identity};
use super::header::Name;
use super::message::{Method, Request, Response};
use super::sdp;
use super::transaction::{
    InviteDue, InviteState, InviteTransaction, RequestState, RequestTransaction, Timers,
};
use super::user_agent::{Invite, SipEvent};
use super::write::{Draft, answer_address};

/// What the network may make of one INVITE; a fork beyond it is hung up without being remembered.
const MOST_DIALOGS: usize = 16;

/// Where a leg puts what it sends and says, and takes its branches from.
pub(super) struct Outlet<'a> {
    pub send: &'a mut dyn FnMut(SocketAddr, Arc<[u8]>),
    pub tell: &'a mut dyn FnMut(SipEvent),
    pub branch: &'a mut dyn FnMut() -> String,
    pub user_agent: &'a str,
    pub timers: Timers,
    pub now: Instant,
}

impl Outlet<'_> {
    fn send(&mut self, to: SocketAddr, bytes: &Arc<[u8]>) {
        (self.send)(to, Arc::clone(bytes));
    }

    fn tell(&mut self, event: SipEvent) {
        (self.tell)(event);
    }
}

/// A dialog with what is needed to end it and to answer what is repeated.
#[derive(Debug)]
struct Branch {
    dialog: Dialog,
    ack: Arc<[u8]>,
    bye: Option<RequestTransaction>,
    is_over: bool,
}

/// One call.
#[derive(Debug)]
pub(super) struct Leg {
    identity: Identity,
    invite: InviteTransaction,
    invite_branch: String,
    /// The INVITE, until nothing can make us send it again or cancel it.
    invite_bytes: Option<Arc<[u8]>>,
    request_uri: String,
    /// Our description, for a re-INVITE; until the call is over.
    sdp: Vec<u8>,
    failure_ack: Option<Arc<[u8]>>,
    cancel: Option<RequestTransaction>,
    branches: Vec<Branch>,
    /// The dialog that is the call.
    call: Option<usize>,
    /// Until then a BYE of the far end is answered again when it is repeated.
    keep_until: Option<Instant>,
    /// The deadline that the user agent has noted for this leg.
    pub scheduled: Option<Instant>,
}

impl Leg {
    /// Sends the INVITE.
    pub fn start(invite: Invite, local_tag: String, out: &mut Outlet<'_>) -> Leg {
        let identity = Identity {
            call_id: invite.call_id,
            from_uri: invite.from_uri,
            to_uri: invite.to_uri,
            local_tag,
            local: invite.local,
            gateway: invite.gateway,
        };
        let branch = (out.branch)();
        let mut draft = request(
            Method::Invite,
            &invite.request_uri,
            &identity,
            &branch,
            None,
        );
        draft
            .field("Contact", format_args!("<sip:nexo@{}>", identity.local))
            .field("Allow", ALLOW)
            .field("User-Agent", out.user_agent)
            .body(sdp::CONTENT_TYPE, invite.sdp.clone());
        let bytes: Arc<[u8]> = draft.bytes().into();
        out.send(identity.gateway, &bytes);
        Leg {
            invite: InviteTransaction::start(out.now, invite.gateway_timeout, out.timers),
            invite_branch: branch,
            invite_bytes: Some(bytes),
            request_uri: invite.request_uri,
            sdp: invite.sdp,
            failure_ack: None,
            cancel: None,
            branches: Vec::new(),
            call: None,
            keep_until: None,
            scheduled: None,
            identity,
        }
    }

    pub fn call_id(&self) -> &str {
        &self.identity.call_id
    }

    /// Whether the leg expects messages from there: its gateway, or where its dialogs live.
    pub fn expects(&self, from: IpAddr) -> bool {
        let hops = self.branches.iter().map(|b| b.dialog.next_hop().ip());
        hops.chain([self.identity.gateway.ip()])
            .any(|ip| ip.to_canonical() == from.to_canonical())
    }

    /// Gives an unanswered call up: CANCEL as soon as the gateway has answered at all, ACK and BYE
    /// should a 2xx still come.
    ///
    /// A call that was answered meanwhile is hung up.
    pub fn cancel(&mut self, out: &mut Outlet<'_>) {
        if let Some(place) = self.call.take() {
            self.bye(place, out);
        }
        if self.invite.abandon(out.now, out.timers) {
            self.send_cancel(out);
        }
        self.let_go();
    }

    /// Ends the call, whatever its state.
    pub fn hang_up(&mut self, out: &mut Outlet<'_>) {
        self.cancel(out);
    }

    /// The transport to the gateway failed: nothing more is sent for the INVITE.
    pub fn transport_failed(&mut self, out: &mut Outlet<'_>) {
        if matches!(
            self.invite.state,
            InviteState::Calling | InviteState::Proceeding
        ) {
            self.invite.abandon(out.now, out.timers);
            self.let_go();
            out.tell(SipEvent::TransportFailed);
        }
    }

    /// Drops what only a living call needs.
    fn let_go(&mut self) {
        self.sdp = Vec::new();
        self.invite_bytes = None;
    }

    fn send_cancel(&mut self, out: &mut Outlet<'_>) {
        if self.cancel.is_some() {
            return;
        }
        // §9.1: the INVITE's branch, request-URI, From, To without a tag, and sequence number.
        let draft = request(
            Method::Cancel,
            &self.request_uri,
            &self.identity,
            &self.invite_branch,
            None,
        );
        let bytes: Arc<[u8]> = draft.bytes().into();
        out.send(self.identity.gateway, &bytes);
        self.invite.cancelled(out.now, out.timers);
        let branch = self.invite_branch.clone();
        self.cancel = Some(RequestTransaction::start(
            out.now, branch, bytes, out.timers,
        ));
    }

    fn bye(&mut self, place: usize, out: &mut Outlet<'_>) {
        let branch = &mut self.branches[place];
        if branch.is_over {
            return;
        }
        branch.is_over = true;
        let name = (out.branch)();
        let draft = branch
            .dialog
            .next_request(Method::Bye, &self.identity, &name);
        let bytes: Arc<[u8]> = draft.bytes().into();
        out.send(branch.dialog.next_hop(), &bytes);
        branch.bye = Some(RequestTransaction::start(out.now, name, bytes, out.timers));
    }

    /// Takes an answer. Whether it belongs to anything here.
    pub fn answered(&mut self, response: &Response, out: &mut Outlet<'_>) -> bool {
        let branch = response.via().and_then(|via| via.branch());
        match response.cseq_method() {
            Method::Invite if branch == Some(&self.invite_branch) => {
                self.invite_answered(response, out);
                true
            }
            Method::Cancel => match &mut self.cancel {
                Some(cancel) if branch == Some(&cancel.branch) => {
                    cancel.answered(response.code(), out.now, out.timers);
                    true
                }
                Some(_) | None => false,
            },
            Method::Bye => self
                .branches
                .iter_mut()
                .filter_map(|b| b.bye.as_mut())
                .find(|bye| branch == Some(&bye.branch))
                .map(|bye| bye.answered(response.code(), out.now, out.timers))
                .is_some(),
            _ => false,
        }
    }

    fn invite_answered(&mut self, response: &Response, out: &mut Outlet<'_>) {
        match response.code() {
            code @ 100..=199 => {
                self.invite.provisional();
                match self.invite.state {
                    InviteState::Proceeding => out.tell(SipEvent::Provisional { code }),
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
        let known = self.branches.iter().find(|b| b.dialog.remote_tag == tag);
        if let Some(known) = known {
            let (to, ack) = (known.dialog.next_hop(), Arc::clone(&known.ack));
            return out.send(to, &ack);
        }
        let wanted = self.invite.accepted(out.now, out.timers);
        let mut dialog = Dialog::opened_by(response, &self.identity, INVITE_CSEQ);
        let name = (out.branch)();
        let ack: Arc<[u8]> = dialog.ack(&self.identity, &name).bytes().into();
        out.send(dialog.next_hop(), &ack);
        if self.branches.len() == MOST_DIALOGS {
            // Too many to remember: this BYE is not sent again, but each repeated 2xx makes one.
            let name = (out.branch)();
            let bye = dialog.next_request(Method::Bye, &self.identity, &name);
            return out.send(dialog.next_hop(), &bye.bytes().into());
        }
        self.branches.push(Branch {
            dialog,
            ack,
            bye: None,
            is_over: false,
        });
        let place = self.branches.len() - 1;
        if wanted {
            self.invite_bytes = None;
            self.call = Some(place);
            out.tell(SipEvent::Answered {
                code: response.code(),
                sdp: response.body().to_vec(),
            });
        } else {
            self.bye(place, out);
        }
    }

    fn rejected(&mut self, response: &Response, code: u16, out: &mut Outlet<'_>) {
        let wanted = self.invite.failed(out.now, out.timers);
        if self.invite.state != InviteState::Completed {
            return;
        }
        let ack = match &self.failure_ack {
            Some(ack) => Arc::clone(ack),
            None => {
                // §17.1.1.3: the INVITE's branch and request-URI, the answer's To.
                let ack: Arc<[u8]> = request(
                    Method::Ack,
                    &self.request_uri,
                    &self.identity,
                    &self.invite_branch,
                    response.value(Name::To),
                )
                .bytes()
                .into();
                self.failure_ack = Some(Arc::clone(&ack));
                ack
            }
        };
        out.send(self.identity.gateway, &ack);
        self.let_go();
        if wanted {
            out.tell(SipEvent::Rejected {
                code,
                retry_after_seconds: response.retry_after_seconds(),
            });
        }
    }

    /// Takes a request of the far end in one of this call's dialogs. Whether it is in one.
    pub fn requested(&mut self, request: &Request, from: SocketAddr, out: &mut Outlet<'_>) -> bool {
        let is_ours = request.to_tag() == Some(&self.identity.local_tag);
        let remote_tag = request.from_tag().unwrap_or_default();
        let place = self
            .branches
            .iter()
            .position(|b| b.dialog.remote_tag == remote_tag);
        let Some(place) = place.filter(|_| is_ours) else {
            return false;
        };
        let mut answer = |code: u16, extra: &dyn Fn(&mut Draft)| {
            let mut draft = Draft::answer(request, code, "", from);
            extra(&mut draft);
            (out.send)(answer_address(request, from), draft.bytes().into());
        };
        match request.method() {
            Method::Ack => {}
            Method::Bye => {
                answer(200, &|_| {});
                self.branches[place].is_over = true;
                self.keep_until = Some(out.now + out.timers.patience());
                if self.call == Some(place) {
                    self.call = None;
                    self.let_go();
                    out.tell(SipEvent::RemoteHungUp);
                }
            }
            Method::Invite | Method::Update if self.call == Some(place) => {
                let contact = format!("<sip:nexo@{}>", self.identity.local);
                let has_offer = request.method() == Method::Invite || !request.body().is_empty();
                answer(200, &|draft| {
                    draft.field("Contact", &contact);
                    if has_offer {
                        // What was agreed stays as it is.
                        draft.body(sdp::CONTENT_TYPE, self.sdp.clone());
                    }
                });
            }
            Method::Options | Method::Info => answer(200, &|draft| {
                draft.field("Allow", ALLOW);
            }),
            Method::Invite | Method::Update | Method::Cancel | Method::Prack => {
                answer(481, &|_| {});
            }
            Method::Register
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Other => answer(405, &|draft| {
                draft.field("Allow", ALLOW);
            }),
        }
        true
    }

    /// When [`Leg::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let byes = self.branches.iter().filter_map(|b| b.bye.as_ref());
        let requests = byes.chain(&self.cancel).filter_map(|r| r.deadline());
        requests
            .chain(self.invite.deadline())
            .chain(self.keep_until)
            .min()
    }

    /// Takes the time.
    pub fn tick(&mut self, out: &mut Outlet<'_>) {
        match self.invite.tick(out.now, out.timers) {
            InviteDue::Nothing | InviteDue::Terminated => {}
            InviteDue::SendAgain => {
                if let Some(bytes) = self.invite_bytes.clone() {
                    out.send(self.identity.gateway, &bytes);
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
            out.send(self.identity.gateway, &bytes);
        }
        for branch in &mut self.branches {
            if let Some(bye) = &mut branch.bye
                && let Some(bytes) = bye.tick(out.now, out.timers)
            {
                out.send(branch.dialog.next_hop(), &bytes);
            }
        }
        if self.keep_until.is_some_and(|until| until <= out.now) {
            self.keep_until = None;
        }
    }

    /// Whether nothing more can come of it.
    pub fn is_over(&self) -> bool {
        let done = |r: &RequestTransaction| matches!(r.state, RequestState::Terminated);
        self.invite.state == InviteState::Terminated
            && self.call.is_none()
            && self.keep_until.is_none()
            && self.cancel.as_ref().is_none_or(done)
            && self
                .branches
                .iter()
                .all(|b| b.is_over && b.bye.as_ref().is_none_or(done))
    }

    /// About how many bytes the leg holds.
    pub fn bytes_held(&self) -> usize {
        let text = |s: &String| s.capacity();
        let shared = |b: &Option<Arc<[u8]>>| b.as_ref().map_or(0, |b| b.len());
        let identity = text(&self.identity.call_id)
            + text(&self.identity.from_uri)
            + text(&self.identity.to_uri)
            + text(&self.identity.local_tag);
        let branches: usize = self
            .branches
            .iter()
            .map(|b| {
                let bye = b.bye.as_ref().map_or(0, |bye| shared(&bye.bytes) + 32);
                size_of::<Branch>() + b.ack.len() + bye + 128
            })
            .sum();
        size_of::<Self>()
            + identity
            + text(&self.request_uri)
            + self.sdp.capacity()
            + shared(&self.invite_bytes)
            + shared(&self.failure_ack)
            + self.cancel.as_ref().map_or(0, |c| shared(&c.bytes) + 32)
            + branches
    }
}

/// What a caller answers to.
pub(super) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO";

const INVITE_CSEQ: u32 = 1;

/// INVITE, or the CANCEL or ACK that share its branch and number.
fn request(
    method: Method,
    uri: &str,
    identity: &Identity,
    branch: &str,
    to: Option<&str>,
) -> Draft {
    let mut draft = Draft::request(method, uri);
    dialog::via(&mut draft, identity, branch);
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
        .field("CSeq", format_args!("{INVITE_CSEQ} {}", method.name()));
    draft
}
