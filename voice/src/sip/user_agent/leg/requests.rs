//! Requests of the far end within a call.
//!
//! | request | response |
//! |---|---|
//! | BYE | 200, also if it is repeated; ends the call |
//! | INVITE, UPDATE | 200 with our answer to the offer; 488 if the offer has nothing in common with ours |
//! | UPDATE before the call is answered | the same |
//! | OPTIONS | 200 |
//! | INFO | 200, and a key if its body reports one; 415 for an unknown body, 469 for an info package |
//! | any that requires an unsupported extension | 420 |
//! | INVITE, UPDATE or INFO with a lower CSeq than the last | 500 |
//! | PRACK, CANCEL, anything after the end | 481 |
//! | any other | 405 |

use std::sync::Arc;

use super::{ALLOW, Leg, SUPPORTED, contact, info};
use crate::sip::message::header::{Name, leading_number};
use crate::sip::message::hop::Hop;
use crate::sip::message::write::{Draft, response_hop};
use crate::sip::message::{Method, Request};
use crate::sip::sdp;
use crate::sip::user_agent::call::SipEvent;
use crate::sip::user_agent::context::Context;

impl Leg {
    /// Takes a request of the far end. Returns whether it belongs to a dialog of this call.
    pub fn handle_request(&mut self, request: &Request, from: Hop, cx: &mut Context<'_>) -> bool {
        if request.to_tag() != Some(&self.identity.local_tag) {
            return false;
        }
        let remote_tag = request.from_tag().unwrap_or_default();
        let index = self.forks.iter().position(|f| f.remote_tag == remote_tag);
        let Some(index) = index else {
            return self.handle_early_request(request, remote_tag, from, cx);
        };
        let is_call = self.call == Some(index);
        match request.method() {
            Method::Ack => {
                // Its body answers our offer, which the far end requested by an INVITE without an offer.
                if is_call && let Some(answer) = sdp::find(request) {
                    emit_media_change(answer, cx);
                }
                return true;
            }
            Method::Bye => {
                self.remote_hung_up(index, cx);
                self.respond(request, 200, from, cx);
                return true;
            }
            _ => {}
        }
        let dialog = self.forks[index].dialog_mut().filter(|_| is_call);
        let Some(dialog) = dialog else {
            self.respond(request, 481, from, cx);
            return true;
        };
        let code = match request.method() {
            _ if requires_unsupported(request) => 420,
            Method::Invite | Method::Update => match dialog.accept_cseq(request.cseq()) {
                true => {
                    dialog.refresh_target(request, &self.identity);
                    self.renegotiate(request, from, cx);
                    return true;
                }
                false => 500,
            },
            Method::Info => {
                let is_repeated = dialog.has_seen(request.cseq());
                match (dialog.accept_cseq(request.cseq()), info::read(request)) {
                    (false, _) => 500,
                    (true, Err(code)) => code,
                    (true, Ok(Some((key, held)))) if !is_repeated => {
                        cx.emit(SipEvent::KeyPressed { key, held });
                        200
                    }
                    (true, Ok(_)) => 200,
                }
            }
            Method::Options => 200,
            Method::Ack | Method::Bye | Method::Cancel | Method::Prack => 481,
            Method::Register
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Other => 405,
        };
        self.respond(request, code, from, cx);
        true
    }

    /// Takes a request in an early dialog. Returns whether there is one. Only UPDATE is allowed (RFC 3311 §5.2).
    fn handle_early_request(
        &mut self,
        request: &Request,
        remote_tag: &str,
        from: Hop,
        cx: &mut Context<'_>,
    ) -> bool {
        let dialogs = self.early_dialogs.as_mut();
        let Some(dialog) = dialogs.and_then(|dialogs| dialogs.dialog_mut(remote_tag)) else {
            return false;
        };
        let code = match request.method() {
            Method::Update if requires_unsupported(request) => 420,
            Method::Update if dialog.accept_cseq(request.cseq()) => {
                dialog.refresh_target(request, &self.identity);
                let is_accepted = self.renegotiate(request, from, cx);
                if let (true, Some(offer), Some(provisional)) =
                    (is_accepted, sdp::find(request), &mut self.provisional)
                {
                    provisional.describe(remote_tag, offer);
                }
                return true;
            }
            Method::Update => 500,
            _ => 481,
        };
        self.respond(request, code, from, cx);
        true
    }

    fn remote_hung_up(&mut self, index: usize, cx: &mut Context<'_>) {
        self.forks[index].remote_hung_up();
        self.keep_until = Some(cx.now + cx.timers.transaction_timeout());
        if self.call == Some(index) {
            self.call = None;
            self.release();
            cx.emit(SipEvent::RemoteHungUp);
        }
    }

    /// Responds to an INVITE or UPDATE, with our answer to its offer. Returns whether it is accepted.
    fn renegotiate(&mut self, request: &Request, from: Hop, cx: &mut Context<'_>) -> bool {
        if let Some((cseq, response)) = &self.last_response
            && *cseq == request.cseq()
        {
            // A retransmission. A new response would have another SDP version.
            cx.respond(response_hop(request, from), 200, response);
            return true;
        }
        let mut draft = Draft::response(request, 200, "", from.address);
        draft.field("Contact", contact(&self.identity));
        draft.field("Allow", ALLOW).field("Supported", SUPPORTED);
        confirm_session_timer(request, &mut draft);
        let offer = sdp::find(request);
        match (offer, request.method()) {
            (None, Method::Invite) => {
                draft.body(sdp::CONTENT_TYPE, self.sdp.offer().to_vec());
            }
            (None, _) => {}
            (Some(offer), _) => match self.sdp.answer(offer) {
                Ok(answer) => _ = draft.body(sdp::CONTENT_TYPE, answer.to_vec()),
                Err(_) => {
                    self.respond(request, 488, from, cx);
                    return false;
                }
            },
        }
        if let Some(offer) = offer.filter(|_| self.call.is_some()) {
            emit_media_change(offer, cx);
        }
        let bytes: Arc<[u8]> = draft.bytes().into();
        cx.respond(response_hop(request, from), 200, &bytes);
        self.last_response = Some((request.cseq(), bytes));
        true
    }

    /// Responds without a media description.
    fn respond(&self, request: &Request, code: u16, from: Hop, cx: &mut Context<'_>) {
        let mut draft = Draft::response(request, code, "", from.address);
        match (code, request.method()) {
            (405, _) | (200, Method::Options) => _ = draft.field("Allow", ALLOW),
            (415, _) => _ = draft.field("Accept", info::ACCEPTED_BODIES),
            (469, _) => _ = draft.field("Recv-Info", ""),
            (420, _) => {
                for extension in unsupported_extensions(request) {
                    draft.field("Unsupported", extension);
                }
            }
            (_, _) => {}
        }
        cx.respond(response_hop(request, from), code, &draft.bytes().into());
    }
}

fn emit_media_change(description: &[u8], cx: &mut Context<'_>) {
    cx.emit(SipEvent::MediaChanged { sdp: description.to_vec() });
}

/// Confirms the session interval of a request, and which side refreshes the session (RFC 4028 §9).
fn confirm_session_timer(request: &Request, draft: &mut Draft) {
    let value = request.named("Session-Expires").or(request.named("x"));
    let Some((value, seconds)) = value.and_then(|value| Some((value, leading_number(value)?)))
    else {
        return;
    };
    let is_theirs = !value.replace(' ', "").contains("refresher=uas");
    let refresher = if is_theirs { "uac" } else { "uas" };
    draft.field("Session-Expires", format_args!("{seconds};refresher={refresher}"));
    if is_theirs {
        draft.field("Require", "timer");
    }
}

/// The required extensions that are not supported. All our responses are final, so that `100rel` requires nothing.
fn unsupported_extensions(request: &Request) -> impl Iterator<Item = &str> {
    let is_supported = |required: &str| {
        SUPPORTED.split(", ").any(|supported| supported.eq_ignore_ascii_case(required))
    };
    request.values(Name::Require).filter(move |required| !is_supported(required))
}

fn requires_unsupported(request: &Request) -> bool {
    unsupported_extensions(request).next().is_some()
}
