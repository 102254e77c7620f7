//! Provisional answers that want to be acknowledged (RFC 3262), and the dialogs that they open early.
//!
//! | a 1xx with RSeq comes | then |
//! |---|---|
//! | the first of its far end, or the next in order | PRACK |
//! | the same again | nothing: the PRACK is repeated by itself |
//! | out of order | nothing: it will come again in its turn |

use std::sync::Arc;
use std::time::Instant;

use super::super::dialog::{Dialog, Identity};
use super::super::transaction::{RequestState, RequestTransaction};
use crate::sip::message::header::Name;
use crate::sip::message::hop::Hop;
use crate::sip::message::message::{Method, Response};
use crate::sip::user_agent::context::Outlet;

/// The most early dialogs of one INVITE.
const MOST_EARLY: usize = 8;

/// The dialogs that are not confirmed yet.
#[derive(Debug, Default)]
pub(super) struct EarlyDialogs {
    dialogs: Vec<EarlyDialog>,
}

#[derive(Debug)]
struct EarlyDialog {
    dialog: Dialog,
    /// The last that was acknowledged.
    sequence: u32,
    pracks: Vec<(Hop, RequestTransaction)>,
}

impl EarlyDialogs {
    /// Takes a 1xx of the INVITE with the number `cseq`: acknowledges it where it wants that.
    pub fn take(
        &mut self,
        response: &Response,
        identity: &Identity,
        target: &str,
        cseq: u32,
        out: &mut Outlet<'_>,
    ) {
        let mut required = response.values(Name::Require);
        let is_reliable = required.any(|option| option.eq_ignore_ascii_case("100rel"));
        let sequence = response.named("RSeq").and_then(|n| n.trim().parse().ok());
        let (Some(sequence), Some(tag)) = (sequence.filter(|_| is_reliable), response.to_tag())
        else {
            return;
        };
        let place = self.place_of(tag);
        let early = match place {
            Some(place) => {
                let early = &mut self.dialogs[place];
                if sequence != early.sequence.wrapping_add(1) {
                    return;
                }
                early.sequence = sequence;
                early
            }
            None if self.dialogs.len() == MOST_EARLY => return,
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
        let branch = out.branch();
        let dialog = &mut early.dialog;
        let mut draft = dialog.next_request(Method::Prack, identity, &branch);
        // §7.2: which answer to which request.
        draft.field("RAck", format_args!("{sequence} {cseq} INVITE"));
        for (name, value) in out.authorize(identity, Method::Prack, dialog.request_uri(), b"") {
            draft.field(name, value);
        }
        let bytes: Arc<[u8]> = draft.bytes().into();
        let to = dialog.next_hop();
        out.send(to, Method::Prack, &bytes);
        let prack = RequestTransaction::start(out.now, branch, bytes, to.transport, out.timers);
        early.pracks.push((to, prack));
    }

    /// Takes an answer to a PRACK: whether it is to one of these.
    pub fn answered(&mut self, response: &Response, out: &Outlet<'_>) -> bool {
        let branch = response.via().and_then(|via| via.branch());
        let mut pracks = self.dialogs.iter_mut().flat_map(|early| &mut early.pracks);
        match pracks.find(|(_, prack)| branch == Some(&prack.branch)) {
            Some((_, prack)) => {
                prack.answered(response.code(), out.now, out.timers);
                true
            }
            None => false,
        }
    }

    /// The dialog with this far end, while it is early.
    pub fn dialog_mut(&mut self, tag: &str) -> Option<&mut Dialog> {
        let place = self.place_of(tag)?;
        Some(&mut self.dialogs[place].dialog)
    }

    /// The dialog that a 2xx confirms: its requests are counted on from there.
    pub fn confirmed(&mut self, tag: &str) -> Option<Dialog> {
        let place = self.place_of(tag)?;
        Some(self.dialogs.swap_remove(place).dialog)
    }

    fn place_of(&self, tag: &str) -> Option<usize> {
        let mut dialogs = self.dialogs.iter();
        dialogs.position(|early| early.dialog.remote_tag == tag)
    }

    /// When [`EarlyDialogs::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let pracks = self.dialogs.iter().flat_map(|early| &early.pracks);
        pracks.filter_map(|(_, prack)| prack.deadline()).min()
    }

    /// Takes the time.
    pub fn tick(&mut self, out: &mut Outlet<'_>) {
        for early in &mut self.dialogs {
            for (to, prack) in &mut early.pracks {
                if let Some(bytes) = prack.tick(out.now, out.timers) {
                    out.send_again(*to, Method::Prack, &bytes);
                }
            }
            early
                .pracks
                .retain(|(_, prack)| prack.state != RequestState::Terminated);
        }
    }

    /// About how many bytes it holds, itself included.
    pub fn bytes_held(&self) -> usize {
        let dialogs = self.dialogs.iter().map(|early| {
            let pracks = early.pracks.iter().map(|(_, prack)| prack.bytes_held());
            size_of::<EarlyDialog>() + early.dialog.bytes_held() + pracks.sum::<usize>()
        });
        size_of::<Self>() + dialogs.sum::<usize>()
    }
}
