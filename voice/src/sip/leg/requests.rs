//! What the far end asks within a call.
//!
//! | it asks | answer |
//! |---|---|
//! | BYE | 200, also when it is repeated; the call is over |
//! | INVITE, UPDATE | 200 with the description that we have, unchanged; 488 where none of ours fits |
//! | OPTIONS, INFO | 200 |
//! | an extension that it requires | 420 |
//! | an INVITE or UPDATE older than the last | 500 |
//! | PRACK, CANCEL, anything after the end | 481 |
//! | anything else | 405 |

use super::super::call::SipEvent;
use super::super::header::Name;
use super::super::hop::Hop;
use super::super::message::{Method, Request};
use super::super::outlet::Outlet;
use super::super::sdp::{self, SdpError};
use super::super::write::{Draft, answer_hop};
use super::{ALLOW, Leg, contact};

impl Leg {
    /// Takes a request of the far end in one of this call's dialogs. Whether it is in one.
    pub fn requested(&mut self, request: &Request, from: Hop, out: &mut Outlet<'_>) -> bool {
        let remote_tag = request.from_tag().unwrap_or_default();
        let place = self.forks.iter().position(|f| f.remote_tag == remote_tag);
        let is_ours = request.to_tag() == Some(&self.identity.local_tag);
        let Some(place) = place.filter(|_| is_ours) else {
            return false;
        };
        if request.method() == Method::Ack {
            return true;
        }
        let code = match request.method() {
            Method::Bye => self.hung_up(place, out),
            _ => self.judge(place, request),
        };
        let mut draft = Draft::answer(request, code, "", from.address);
        match code {
            405 => _ = draft.field("Allow", ALLOW),
            420 => {
                for extension in request.values(Name::Require) {
                    draft.field("Unsupported", extension);
                }
            }
            200 => self.complete(request, &mut draft),
            _ => {}
        }
        out.respond(answer_hop(request, from), code, &draft.bytes().into());
        true
    }

    fn hung_up(&mut self, place: usize, out: &mut Outlet<'_>) -> u16 {
        self.forks[place].hung_up();
        self.keep_until = Some(out.now + out.timers.patience());
        if self.call == Some(place) {
            self.call = None;
            self.let_go();
            out.tell(SipEvent::RemoteHungUp);
        }
        200
    }

    /// The code that answers anything but BYE.
    fn judge(&mut self, place: usize, request: &Request) -> u16 {
        let is_call = self.call == Some(place);
        let Some(dialog) = self.forks[place].dialog_mut().filter(|_| is_call) else {
            return 481;
        };
        match request.method() {
            _ if request.value(Name::Require).is_some() => 420,
            Method::Invite | Method::Update => {
                if !dialog.is_in_order(request.cseq()) {
                    return 500;
                }
                if !fits(request.body()) {
                    return 488;
                }
                dialog.refresh(request, &self.identity);
                200
            }
            Method::Options | Method::Info => 200,
            Method::Ack | Method::Bye | Method::Cancel | Method::Prack => 481,
            Method::Register
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Other => 405,
        }
    }

    /// What a 200 carries besides.
    fn complete(&self, request: &Request, draft: &mut Draft) {
        let may_move = matches!(request.method(), Method::Invite | Method::Update);
        if may_move {
            draft.field("Contact", contact(&self.identity));
        }
        if may_move || request.method() == Method::Options {
            draft.field("Allow", ALLOW);
        }
        if request.method() == Method::Invite || (may_move && !request.body().is_empty()) {
            draft.body(sdp::CONTENT_TYPE, self.sdp.clone());
        }
    }
}

/// Whether what we have said of ourselves can stay as it is beside this new description. An address
/// of zeros is how older equipment puts a call on hold.
fn fits(body: &[u8]) -> bool {
    body.is_empty() || matches!(sdp::read(body), Ok(_) | Err(SdpError::NoAddress))
}
