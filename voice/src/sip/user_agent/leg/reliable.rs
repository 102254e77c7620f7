//! Reliable provisional responses (RFC 3262), and the early dialogs that they open.
//!
//! | a 1xx with RSeq | action |
//! |---|---|
//! | the first of its far end, or the next in order | PRACK |
//! | repeated | none: the PRACK transaction retransmits by itself |
//! | out of order | none: the far end retransmits it |

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::header::{Name, leading_number};
use crate::sip::message::hop::Hop;
use crate::sip::message::{Method, Response};
use crate::sip::user_agent::context::Context;
use crate::sip::user_agent::dialog::{Dialog, Identity};
use crate::sip::user_agent::digest::AnsweredRealms;
use crate::sip::user_agent::next_hop::NextHop;
use crate::sip::user_agent::transaction::{RequestState, RequestTransaction};

/// The maximum number of early dialogs of one INVITE.
const MAX_EARLY_DIALOGS: usize = 8;

/// The early dialogs of one INVITE.
#[derive(Debug, Default)]
pub(super) struct EarlyDialogs {
    dialogs: Vec<EarlyDialog>,
}

#[derive(Debug)]
struct EarlyDialog {
    dialog: Dialog,
    /// The RSeq of the last acknowledged response.
    sequence: u32,
    pracks: Vec<Prack>,
}

#[derive(Debug)]
struct Prack {
    to: NextHop,
    transaction: RequestTransaction,
    /// The RSeq of the response, and the CSeq of the INVITE (RFC 3262 §7.2).
    acknowledged: (u32, u32),
    answered: AnsweredRealms,
}

impl EarlyDialog {
    /// Acknowledges the response with this RSeq to the INVITE with this CSeq.
    fn send_prack(
        &mut self,
        acknowledged: (u32, u32),
        answered: AnsweredRealms,
        identity: &Identity,
        cx: &mut Context<'_>,
    ) {
        let branch = cx.branch();
        let dialog = &mut self.dialog;
        let mut draft = dialog.next_request(Method::Prack, identity, &branch);
        let (sequence, cseq) = acknowledged;
        draft.field("RAck", format_args!("{sequence} {cseq} INVITE"));
        for (name, value) in cx.authorize(identity, Method::Prack, dialog.request_uri(), b"") {
            draft.field(name, value);
        }
        let bytes: Arc<[u8]> = draft.bytes().into();
        let to = dialog.next_hop().clone();
        cx.send(&to, Method::Prack, &bytes);
        let transport = to.hop().transport;
        let transaction = RequestTransaction::start(cx.now, branch, bytes, transport, cx.timers);
        self.pracks.push(Prack { to, transaction, acknowledged, answered });
    }

    /// Takes a response to a PRACK. Returns whether it belongs to this dialog. A challenge is answered with a new
    /// PRACK.
    fn handle_prack_response(
        &mut self,
        response: &Response,
        identity: &Identity,
        cx: &mut Context<'_>,
    ) -> bool {
        let branch = response.via().and_then(|via| via.branch());
        let mut pracks = self.pracks.iter_mut();
        let Some(prack) = pracks.find(|prack| branch == Some(&prack.transaction.branch)) else {
            return false;
        };
        if prack.transaction.handle_response(response.code(), cx.now, cx.timers)
            && let Ok(true) = cx.handle_challenge(identity, response, &mut prack.answered)
        {
            let answered = std::mem::take(&mut prack.answered);
            let acknowledged = prack.acknowledged;
            self.send_prack(acknowledged, answered, identity, cx);
        }
        true
    }
}

impl EarlyDialogs {
    /// Takes a 1xx to the INVITE with the number `cseq`, and acknowledges it if it is reliable.
    pub fn handle_provisional(
        &mut self,
        response: &Response,
        identity: &Identity,
        target: &str,
        cseq: u32,
        cx: &mut Context<'_>,
    ) {
        let mut required = response.values(Name::Require);
        let is_reliable = required.any(|option| option.eq_ignore_ascii_case("100rel"));
        let sequence = response.named("RSeq").and_then(leading_number);
        let (Some(sequence), Some(tag)) = (sequence.filter(|_| is_reliable), response.to_tag())
        else {
            return;
        };
        let early = match self.index_of(tag) {
            Some(index) => {
                let early = &mut self.dialogs[index];
                if sequence != early.sequence.wrapping_add(1) {
                    return;
                }
                early.sequence = sequence;
                early
            }
            None if self.dialogs.len() == MAX_EARLY_DIALOGS => return,
            None => {
                self.dialogs.push(EarlyDialog {
                    dialog: Dialog::opened_by(response, identity, target, cseq),
                    sequence,
                    pracks: Vec::new(),
                });
                let last = self.dialogs.len() - 1;
                &mut self.dialogs[last]
            }
        };
        early.send_prack((sequence, cseq), AnsweredRealms::default(), identity, cx);
    }

    /// Takes a response to a PRACK. Returns whether it belongs to one of these dialogs.
    pub fn handle_prack_response(
        &mut self,
        response: &Response,
        identity: &Identity,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut dialogs = self.dialogs.iter_mut();
        dialogs.any(|early| early.handle_prack_response(response, identity, cx))
    }

    /// The early dialog with this To tag.
    pub fn dialog_mut(&mut self, tag: &str) -> Option<&mut Dialog> {
        let index = self.index_of(tag)?;
        Some(&mut self.dialogs[index].dialog)
    }

    /// Removes the dialog that a 2xx confirms. Its sequence numbers continue.
    pub fn take(&mut self, tag: &str) -> Option<Dialog> {
        let index = self.index_of(tag)?;
        Some(self.dialogs.swap_remove(index).dialog)
    }

    /// Whether messages of one of the dialogs go to this address.
    pub fn use_address(&self, ip: IpAddr) -> bool {
        let mut pracks = self.dialogs.iter().flat_map(|early| &early.pracks);
        pracks.any(|prack| prack.to.is_at(ip))
            || self.dialogs.iter().any(|early| early.dialog.next_hop().is_at(ip))
    }

    /// Takes the targets of a host name.
    pub fn resolve(&mut self, name: &GatewayUri, targets: &[Hop]) {
        for early in &mut self.dialogs {
            early.dialog.resolve(name, targets);
            for prack in &mut early.pracks {
                prack.to.resolve(name, targets);
            }
        }
    }

    fn index_of(&self, tag: &str) -> Option<usize> {
        let mut dialogs = self.dialogs.iter();
        dialogs.position(|early| early.dialog.remote_tag == tag)
    }

    /// When to call [`EarlyDialogs::tick`] next.
    pub fn deadline(&self) -> Option<Instant> {
        let pracks = self.dialogs.iter().flat_map(|early| &early.pracks);
        pracks.filter_map(|prack| prack.transaction.deadline()).min()
    }

    /// Runs the timers that are due.
    pub fn tick(&mut self, cx: &mut Context<'_>) {
        for early in &mut self.dialogs {
            for prack in &mut early.pracks {
                if let Some(bytes) = prack.transaction.tick(cx.now, cx.timers) {
                    cx.retransmit(&prack.to, Method::Prack, &bytes);
                }
            }
            early.pracks.retain(|prack| prack.transaction.state != RequestState::Terminated);
        }
    }

    /// Its approximate memory in bytes, itself included.
    pub fn bytes_held(&self) -> usize {
        let dialogs = self.dialogs.iter().map(|early| {
            let pracks = early.pracks.iter().map(|prack| {
                size_of::<Prack>() + prack.transaction.bytes_held() + prack.answered.bytes_held()
            });
            size_of::<EarlyDialog>() + early.dialog.bytes_held() + pracks.sum::<usize>()
        });
        size_of::<Self>() + dialogs.sum::<usize>()
    }
}
