//! Reliable provisional responses (RFC 3262), and the early dialogs that they open.
//!
//! | a 1xx with RSeq | action |
//! |---|---|
//! | the first of its far end, or the next in order | PRACK |
//! | repeated | none: the PRACK transaction retransmits by itself |
//! | out of order | none: the far end retransmits it |

use std::sync::Arc;
use std::time::Instant;

use crate::sip::message::header::Name;
use crate::sip::message::hop::Hop;
use crate::sip::message::{Method, Response};
use crate::sip::user_agent::context::Context;
use crate::sip::user_agent::dialog::{Dialog, Identity};
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
    pracks: Vec<(Hop, RequestTransaction)>,
}

impl EarlyDialog {
    /// Acknowledges the response with the current RSeq.
    fn send_prack(&mut self, identity: &Identity, cseq: u32, cx: &mut Context<'_>) {
        let branch = cx.branch();
        let dialog = &mut self.dialog;
        let mut draft = dialog.next_request(Method::Prack, identity, &branch);
        // RFC 3262 §7.2: the RSeq of the response, and the CSeq of the INVITE.
        draft.field("RAck", format_args!("{} {cseq} INVITE", self.sequence));
        for (name, value) in cx.authorize(identity, Method::Prack, dialog.request_uri(), b"") {
            draft.field(name, value);
        }
        let bytes: Arc<[u8]> = draft.bytes().into();
        let to = dialog.next_hop();
        cx.send(to, Method::Prack, &bytes);
        let prack = RequestTransaction::start(cx.now, branch, bytes, to.transport, cx.timers);
        self.pracks.push((to, prack));
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
        let sequence = response.named("RSeq").and_then(|n| n.trim().parse().ok());
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
        early.send_prack(identity, cseq, cx);
    }

    /// Takes a response to a PRACK. Returns whether it belongs to one of these dialogs.
    pub fn handle_prack_response(&mut self, response: &Response, cx: &Context<'_>) -> bool {
        let branch = response.via().and_then(|via| via.branch());
        let mut pracks = self.dialogs.iter_mut().flat_map(|early| &mut early.pracks);
        match pracks.find(|(_, prack)| branch == Some(&prack.branch)) {
            Some((_, prack)) => {
                prack.handle_response(response.code(), cx.now, cx.timers);
                true
            }
            None => false,
        }
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

    fn index_of(&self, tag: &str) -> Option<usize> {
        let mut dialogs = self.dialogs.iter();
        dialogs.position(|early| early.dialog.remote_tag == tag)
    }

    /// When to call [`EarlyDialogs::tick`] next.
    pub fn deadline(&self) -> Option<Instant> {
        let pracks = self.dialogs.iter().flat_map(|early| &early.pracks);
        pracks.filter_map(|(_, prack)| prack.deadline()).min()
    }

    /// Runs the timers that are due.
    pub fn tick(&mut self, cx: &mut Context<'_>) {
        for early in &mut self.dialogs {
            for (to, prack) in &mut early.pracks {
                if let Some(bytes) = prack.tick(cx.now, cx.timers) {
                    cx.retransmit(*to, Method::Prack, &bytes);
                }
            }
            early.pracks.retain(|(_, prack)| prack.state != RequestState::Terminated);
        }
    }

    /// Its approximate memory in bytes, itself included.
    pub fn bytes_held(&self) -> usize {
        let dialogs = self.dialogs.iter().map(|early| {
            let pracks = early.pracks.iter().map(|(_, prack)| prack.bytes_held());
            size_of::<EarlyDialog>() + early.dialog.bytes_held() + pracks.sum::<usize>()
        });
        size_of::<Self>() + dialogs.sum::<usize>()
    }
}
