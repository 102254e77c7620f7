//! What the far end asks within a call.
//!
//! | it asks | answer |
//! |---|---|
//! | BYE | 200, also when it is repeated; the call is over |
//! | INVITE, UPDATE | 200 with our description, as the new one of theirs lets it be; 488 where none of ours fits |
//! | UPDATE before the call is answered | the same |
//! | OPTIONS, INFO | 200 |
//! | an extension that it requires | 420 |
//! | an INVITE or UPDATE older than the last | 500 |
//! | PRACK, CANCEL, anything after the end | 481 |
//! | anything else | 405 |

use std::sync::Arc;

use super::super::call::SipEvent;
use super::{ALLOW, Leg, SUPPORTED, contact};
use crate::sip::message::header::Name;
use crate::sip::message::hop::Hop;
use crate::sip::message::message::{Method, Request};
use crate::sip::message::write::{Draft, answer_hop};
use crate::sip::sdp::sdp;
use crate::sip::user_agent::context::Outlet;

impl Leg {
    /// Takes a request of the far end in one of this call's dialogs. Whether it is in one.
    pub fn requested(&mut self, request: &Request, from: Hop, out: &mut Outlet<'_>) -> bool {
        if request.to_tag() != Some(&self.identity.local_tag) {
            return false;
        }
        let remote_tag = request.from_tag().unwrap_or_default();
        let place = self.forks.iter().position(|f| f.remote_tag == remote_tag);
        let Some(place) = place else {
            return self.requested_early(request, remote_tag, from, out);
        };
        let is_call = self.call == Some(place);
        match request.method() {
            Method::Ack => {
                // It answers an offer that we have made because the far end asked for one.
                if is_call && !request.body().is_empty() {
                    self.tell_media(request, out);
                }
                return true;
            }
            Method::Bye => {
                self.hung_up(place, out);
                self.answer(request, 200, from, out);
                return true;
            }
            _ => {}
        }
        let dialog = self.forks[place].dialog_mut().filter(|_| is_call);
        let Some(dialog) = dialog else {
            self.answer(request, 481, from, out);
            return true;
        };
        let code = match request.method() {
            _ if requires_unknown(request) => 420,
            Method::Invite | Method::Update => match dialog.is_in_order(request.cseq()) {
                true => {
                    dialog.refresh(request, &self.identity);
                    return self.renegotiate(request, from, out);
                }
                false => 500,
            },
            Method::Options | Method::Info => 200,
            Method::Ack | Method::Bye | Method::Cancel | Method::Prack => 481,
            Method::Register
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Other => 405,
        };
        self.answer(request, code, from, out);
        true
    }

    /// Takes a request in a dialog that is not confirmed: whether there is one. Only UPDATE may come
    /// (RFC 3311 §5.2).
    fn requested_early(
        &mut self,
        request: &Request,
        remote_tag: &str,
        from: Hop,
        out: &mut Outlet<'_>,
    ) -> bool {
        let early = self.reliable.as_mut();
        let Some(dialog) = early.and_then(|early| early.dialog_mut(remote_tag)) else {
            return false;
        };
        let code = match request.method() {
            Method::Update if requires_unknown(request) => 420,
            Method::Update if dialog.is_in_order(request.cseq()) => {
                dialog.refresh(request, &self.identity);
                if let (false, Some(early)) = (request.body().is_empty(), &mut self.early) {
                    early.describe(remote_tag, request.body());
                }
                return self.renegotiate(request, from, out);
            }
            Method::Update => 500,
            _ => 481,
        };
        self.answer(request, code, from, out);
        true
    }

    fn hung_up(&mut self, place: usize, out: &mut Outlet<'_>) {
        self.forks[place].hung_up();
        self.keep_until = Some(out.now + out.timers.patience());
        if self.call == Some(place) {
            self.call = None;
            self.let_go();
            out.tell(SipEvent::RemoteHungUp);
        }
    }

    /// Answers a description in mid-call with ours.
    fn renegotiate(&mut self, request: &Request, from: Hop, out: &mut Outlet<'_>) -> bool {
        if let Some((cseq, answer)) = &self.last_answer
            && *cseq == request.cseq()
        {
            // The answer was lost: it is the same once more, or the far end would see two.
            out.respond(answer_hop(request, from), 200, answer);
            return true;
        }
        let mut draft = Draft::answer(request, 200, "", from.address);
        draft.field("Contact", contact(&self.identity));
        draft.field("Allow", ALLOW).field("Supported", SUPPORTED);
        keep_alive(request, &mut draft);
        match (request.body(), request.method()) {
            ([], Method::Invite) => _ = draft.body(sdp::CONTENT_TYPE, self.sdp.clone()),
            ([], _) => {}
            (offer, _) => match sdp::answer(&self.sdp, offer) {
                Ok(ours) => {
                    self.sdp = ours.into_bytes();
                    draft.body(sdp::CONTENT_TYPE, self.sdp.clone());
                    if self.call.is_some() {
                        self.tell_media(request, out);
                    }
                }
                Err(_) => {
                    self.answer(request, 488, from, out);
                    return true;
                }
            },
        }
        let bytes: Arc<[u8]> = draft.bytes().into();
        out.respond(answer_hop(request, from), 200, &bytes);
        self.last_answer = Some((request.cseq(), bytes));
        true
    }

    fn tell_media(&self, request: &Request, out: &mut Outlet<'_>) {
        out.tell(SipEvent::MediaChanged {
            sdp: request.body().to_vec(),
        });
    }

    /// Answers without a description.
    fn answer(&self, request: &Request, code: u16, from: Hop, out: &mut Outlet<'_>) {
        let mut draft = Draft::answer(request, code, "", from.address);
        match (code, request.method()) {
            (405, _) | (200, Method::Options) => _ = draft.field("Allow", ALLOW),
            (420, _) => {
                for extension in unknown_extensions(request) {
                    draft.field("Unsupported", extension);
                }
            }
            (_, _) => {}
        }
        out.respond(answer_hop(request, from), code, &draft.bytes().into());
    }
}

/// RFC 4028 §9: a refresh is answered with the same interval, and by whom it is refreshed.
fn keep_alive(request: &Request, draft: &mut Draft) {
    let asked = request.named("Session-Expires").or(request.named("x"));
    let Some(asked) = asked else {
        return;
    };
    let seconds = asked.split(';').next().unwrap_or_default().trim();
    if seconds.parse::<u32>().is_err() {
        return;
    }
    let is_theirs = !asked.replace(' ', "").contains("refresher=uas");
    let refresher = if is_theirs { "uac" } else { "uas" };
    draft.field(
        "Session-Expires",
        format_args!("{seconds};refresher={refresher}"),
    );
    if is_theirs {
        draft.field("Require", "timer");
    }
}

/// The extensions that the far end requires and that are not known here.
fn unknown_extensions(request: &Request) -> impl Iterator<Item = &str> {
    let required = request.values(Name::Require);
    required.filter(|extension| !extension.eq_ignore_ascii_case("timer"))
}

fn requires_unknown(request: &Request) -> bool {
    unknown_extensions(request).next().is_some()
}
