//! One dialog that a 2xx to our INVITE opened, with what ends it and what answers its repetitions.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::super::dialog::{Dialog, Identity};
use super::super::digest::Answer;
use super::super::transaction::{RequestState, RequestTransaction};
use crate::sip::message::hop::Hop;
use crate::sip::message::message::{Method, Response};
use crate::sip::user_agent::context::Outlet;

/// An opened dialog. Once it is over, only its ACK is kept, and the BYE until that is answered.
#[derive(Debug)]
pub(super) struct Fork {
    pub remote_tag: String,
    /// While it is up.
    dialog: Option<Box<Dialog>>,
    /// Where the ACK goes.
    hop: Hop,
    ack: Arc<[u8]>,
    bye: Option<Box<Bye>>,
}

#[derive(Debug)]
struct Bye {
    to: Hop,
    transaction: RequestTransaction,
    /// Until it is answered: it may have to be sent anew, authorized.
    dialog: Option<Box<Dialog>>,
    is_authorized_anew: bool,
    /// Because its connection was gone.
    is_sent_anew: bool,
}

impl Fork {
    /// Acknowledges a 2xx that is the first with its To tag and opens `dialog`. `authorization` is what the INVITE with the
    /// number `cseq` was authorized with: its ACK carries the same (§22.1).
    pub fn open(
        dialog: Dialog,
        identity: &Identity,
        cseq: u32,
        authorization: &[Answer],
        out: &mut Outlet<'_>,
    ) -> Fork {
        let mut draft = dialog.ack(identity, &out.branch(), cseq);
        for (name, value) in authorization {
            draft.field(name, value);
        }
        let ack: Arc<[u8]> = draft.bytes().into();
        let hop = dialog.next_hop();
        out.send(hop, Method::Ack, &ack);
        Fork {
            remote_tag: dialog.remote_tag.clone(),
            dialog: Some(Box::new(dialog)),
            hop,
            ack,
            bye: None,
        }
    }

    /// Acknowledges the same 2xx once more.
    pub fn acknowledge_again(&self, out: &mut Outlet<'_>) {
        out.send_again(self.hop, Method::Ack, &self.ack);
    }

    /// The dialog, while it is up.
    pub fn dialog_mut(&mut self) -> Option<&mut Dialog> {
        self.dialog.as_deref_mut()
    }

    /// Hangs up, where it is still up.
    pub fn hang_up(&mut self, identity: &Identity, out: &mut Outlet<'_>) {
        if let Some(dialog) = self.dialog.take() {
            self.send_bye(dialog, identity, false, out);
        }
    }

    fn send_bye(
        &mut self,
        mut dialog: Box<Dialog>,
        identity: &Identity,
        is_authorized_anew: bool,
        out: &mut Outlet<'_>,
    ) {
        let branch = out.branch();
        let mut draft = dialog.next_request(Method::Bye, identity, &branch);
        for (name, value) in out.authorize(identity, Method::Bye, dialog.request_uri(), b"") {
            draft.field(name, value);
        }
        let bytes: Arc<[u8]> = draft.bytes().into();
        let to = dialog.next_hop();
        out.send(to, Method::Bye, &bytes);
        let transaction =
            RequestTransaction::start(out.now, branch, bytes, to.transport, out.timers);
        self.bye = Some(Box::new(Bye {
            to,
            transaction,
            dialog: Some(dialog),
            is_authorized_anew,
            is_sent_anew: false,
        }));
    }

    /// The far end hung up.
    pub fn hung_up(&mut self) {
        self.dialog = None;
    }

    /// Takes an answer to a BYE. Whether it is to the one of this fork. A challenge is answered once,
    /// with a new BYE.
    pub fn bye_answered(
        &mut self,
        response: &Response,
        identity: &Identity,
        out: &mut Outlet<'_>,
    ) -> bool {
        let branch = response.via().and_then(|via| via.branch());
        let Some(bye) = &mut self.bye else {
            return false;
        };
        if branch != Some(&bye.transaction.branch) {
            return false;
        }
        let code = response.code();
        if bye.transaction.answered(code, out.now, out.timers) {
            let dialog = bye.dialog.take().filter(|_| !bye.is_authorized_anew);
            let is_challenge = matches!(code, 401 | 407);
            if let Some(dialog) = dialog.filter(|_| is_challenge)
                && out.challenged(identity, response).is_some()
            {
                self.send_bye(dialog, identity, true, out);
            }
        }
        true
    }

    /// A message of the call could not be sent: the BYE goes once more, over a new connection.
    pub fn transport_failed(&mut self, out: &mut Outlet<'_>) {
        if let Some(bye) = &mut self.bye
            && let Some(bytes) = bye.transaction.bytes.clone()
            && !std::mem::replace(&mut bye.is_sent_anew, true)
        {
            out.send_again(bye.to, Method::Bye, &bytes);
        }
    }

    /// Whether the far end lives there.
    pub fn is_at(&self, ip: IpAddr) -> bool {
        let dialog = self.dialog.as_ref().map(|dialog| dialog.next_hop());
        let bye = self.bye.as_ref().map(|bye| bye.to);
        [Some(self.hop), dialog, bye]
            .into_iter()
            .flatten()
            .any(|hop| hop.address.ip().to_canonical() == ip)
    }

    /// Whether the far end knows, or will never know, that the dialog is over.
    pub fn is_settled(&self) -> bool {
        let open = |bye: &Bye| {
            matches!(
                bye.transaction.state,
                RequestState::Trying | RequestState::Proceeding
            )
        };
        self.dialog.is_none() && !self.bye.as_deref().is_some_and(open)
    }

    /// Whether nothing of it waits for anything.
    pub fn is_over(&self) -> bool {
        self.dialog.is_none() && self.bye.is_none()
    }

    /// When [`Fork::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.bye.as_ref()?.transaction.deadline()
    }

    /// Takes the time.
    pub fn tick(&mut self, out: &mut Outlet<'_>) {
        let Some(bye) = &mut self.bye else {
            return;
        };
        if let Some(bytes) = bye.transaction.tick(out.now, out.timers) {
            out.send_again(bye.to, Method::Bye, &bytes);
        }
        if bye.transaction.state == RequestState::Terminated {
            self.bye = None;
        }
    }

    /// About how many bytes it holds outside of itself.
    pub fn bytes_held(&self) -> usize {
        let bye = self.bye.as_ref().map_or(0, |bye| {
            let dialog = bye.dialog.as_ref().map_or(0, |dialog| dialog.bytes_held());
            size_of::<Bye>() + bye.transaction.bytes_held() + dialog
        });
        let dialog = self.dialog.as_ref().map_or(0, |dialog| dialog.bytes_held());
        self.remote_tag.capacity() + self.ack.len() + bye + dialog
    }
}
