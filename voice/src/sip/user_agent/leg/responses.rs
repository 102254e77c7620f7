//! The responses to a call's requests.
//!
//! | the call is | a 2xx arrives | action |
//! |---|---|---|
//! | wanted | the first | ACK; this dialog is the call |
//! | wanted | forked, with another To tag | ACK, BYE |
//! | given up, cancelled or timed out | any | ACK, BYE |
//! | answered | repeated | the same ACK again |
//!
//! A 401 or 407 is acknowledged and followed by a new INVITE with credentials: once for each realm, and once more if
//! the realm says that only the nonce was stale, at most four times. A 422 is followed by one new INVITE with a longer
//! session (RFC 4028).

use std::sync::Arc;

use nexo_domain::call::WeakChallenge;

use super::fork::Fork;
use super::{Leg, SESSION_SECONDS, SupersededInvite};
use crate::sip::message::header::{Name, leading_number};
use crate::sip::message::{Method, Response};
use crate::sip::sdp;
use crate::sip::user_agent::call::SipEvent;
use crate::sip::user_agent::context::Context;
use crate::sip::user_agent::dialog::Dialog;
use crate::sip::user_agent::transaction::InviteState;

/// The maximum number of dialogs of one INVITE that are remembered. Further ones are only hung up.
const MAX_FORKS: usize = 16;

impl Leg {
    /// Takes a response. Returns whether it belongs to a request of the call.
    pub fn handle_response(&mut self, response: &Response, cx: &mut Context<'_>) -> bool {
        let via = response.via();
        let branch = via.and_then(|via| via.branch());
        match response.cseq_method() {
            Method::Invite if branch == Some(&self.invite_branch) => {
                self.handle_invite_response(response, cx);
                true
            }
            Method::Invite => {
                let gateway = self.identity.gateway;
                let mut superseded = self.superseded.iter();
                superseded
                    .find(|invite| branch == Some(&invite.branch))
                    .is_some_and(|invite| invite.handle_response(response.code(), gateway, cx))
            }
            Method::Cancel => match &mut self.cancel {
                Some(cancel) if branch == Some(&cancel.branch) => {
                    cancel.handle_response(response.code(), cx.now, cx.timers);
                    true
                }
                Some(_) | None => false,
            },
            Method::Prack => {
                let dialogs = self.early_dialogs.as_mut();
                let is_ours = dialogs.is_some_and(|dialogs| {
                    dialogs.handle_prack_response(response, &self.identity, cx)
                });
                if let (true, 200..=299, Some(sdp), Some(provisional)) =
                    (is_ours, response.code(), sdp::find(response), &mut self.provisional)
                {
                    provisional.describe(response.to_tag().unwrap_or_default(), sdp);
                }
                is_ours
            }
            Method::Bye => self
                .forks
                .iter_mut()
                .any(|fork| fork.handle_bye_response(response, &self.identity, cx)),
            _ => false,
        }
    }

    fn handle_invite_response(&mut self, response: &Response, cx: &mut Context<'_>) {
        match response.code() {
            code @ 100..=199 => {
                self.invite.provisional();
                match self.invite.state {
                    InviteState::Proceeding => {
                        let (identity, target) = (&self.identity, &self.request_uri);
                        let dialogs = self.early_dialogs.get_or_insert_default();
                        dialogs.handle_provisional(response, identity, target, self.cseq, cx);
                        if self.provisional.get_or_insert_default().is_new(response) {
                            cx.emit(SipEvent::Provisional { code });
                            if let Some(sdp) = sdp::find(response) {
                                cx.emit(SipEvent::EarlyDescription { sdp: sdp.to_vec() });
                            }
                        }
                    }
                    InviteState::Abandoned => self.send_cancel(cx),
                    InviteState::Calling
                    | InviteState::Accepted
                    | InviteState::Completed
                    | InviteState::Terminated => {}
                }
            }
            200..=299 => self.accepted(response, cx),
            code => self.rejected(response, code, cx),
        }
    }

    fn accepted(&mut self, response: &Response, cx: &mut Context<'_>) {
        let tag = response.to_tag().unwrap_or_default();
        if let Some(known) = self.forks.iter().find(|fork| fork.remote_tag == tag) {
            return known.resend_ack(cx);
        }
        let is_wanted = self.invite.accepted(cx.now, cx.timers);
        let (identity, target) = (&self.identity, &self.request_uri);
        let early = self.early_dialogs.as_mut().and_then(|d| d.take(tag));
        let dialog = match early {
            Some(mut dialog) => {
                dialog.confirm(response, identity, target);
                dialog
            }
            None => Dialog::opened_by(response, identity, target, self.cseq),
        };
        let mut fork = Fork::open(dialog, identity, self.cseq, &self.authorization, cx);
        if is_wanted {
            self.invite_bytes = None;
            self.early_dialogs = None;
            self.call = Some(self.forks.len());
            let provisional = self.provisional.take();
            let sdp = match sdp::find(response) {
                None => provisional.and_then(|p| p.description_for(tag)),
                Some(description) => Some(description.to_vec()),
            };
            let sdp = sdp.unwrap_or_default();
            self.sdp.accepted(&sdp);
            cx.emit(SipEvent::Answered { code: response.code(), sdp });
        } else {
            fork.hang_up(identity, cx);
        }
        // A fork above the limit has no BYE retransmissions, but each repeated 2xx causes another BYE.
        if self.forks.len() < MAX_FORKS {
            self.forks.push(fork);
        }
    }

    fn rejected(&mut self, response: &Response, code: u16, cx: &mut Context<'_>) {
        let is_wanted = self.invite.rejected(cx.now, cx.timers);
        if self.invite.state != InviteState::Completed {
            return;
        }
        match &self.failure_ack {
            Some(ack) => cx.retransmit(self.identity.gateway, Method::Ack, ack),
            None => {
                // §17.1.1.3: with the branch and request-URI of the INVITE, and the To of the response.
                let draft = self.request(Method::Ack, response.value(Name::To));
                let ack: Arc<[u8]> = draft.bytes().into();
                cx.send(self.identity.gateway, Method::Ack, &ack);
                self.failure_ack = Some(ack);
            }
        }
        if !is_wanted {
            return self.release();
        }
        let event = match self.answer_challenge(response, cx) {
            Ok(true) => return,
            Ok(false) if self.lengthen_session(response, cx) => return,
            Ok(false) => {
                SipEvent::Rejected { code, retry_after_seconds: response.retry_after_seconds() }
            }
            Err(weak) => SipEvent::WeakChallenge(weak),
        };
        self.release();
        cx.emit(event);
    }

    /// Sends a new INVITE with credentials, if the response is a challenge that may be answered. Returns
    /// whether it did.
    fn answer_challenge(
        &mut self,
        response: &Response,
        cx: &mut Context<'_>,
    ) -> Result<bool, WeakChallenge> {
        let is_answered = cx.handle_challenge(&self.identity, response, &mut self.answered)?;
        Ok(is_answered && self.supersede_invite(response.code(), cx))
    }

    /// Sends a new INVITE with the session interval that a 422 requires (RFC 4028 §7.3), once. Returns whether it
    /// did.
    fn lengthen_session(&mut self, response: &Response, cx: &mut Context<'_>) -> bool {
        let minimum = response.named("Min-SE").and_then(leading_number);
        let longer = minimum.filter(|minimum| *minimum > self.session_seconds);
        let (Some(longer), 422, SESSION_SECONDS) = (longer, response.code(), self.session_seconds)
        else {
            return false;
        };
        self.session_seconds = longer;
        self.supersede_invite(422, cx)
    }

    /// Sends a new INVITE after a rejection with this code. The old one is kept to acknowledge repeated
    /// rejections. Returns whether there was a rejection.
    fn supersede_invite(&mut self, code: u16, cx: &mut Context<'_>) -> bool {
        let (Some(ack), Some(until)) = (self.failure_ack.take(), self.invite.timer_end) else {
            return false;
        };
        self.superseded.push(SupersededInvite {
            code,
            branch: std::mem::take(&mut self.invite_branch),
            ack,
            until,
        });
        self.provisional = None;
        self.send_invite(cx);
        true
    }
}
