//! One dialog that a 2xx to our INVITE opened, with its ACK and its BYE.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::hop::Hop;
use crate::sip::message::{Method, Response};
use crate::sip::user_agent::context::Context;
use crate::sip::user_agent::dialog::{Dialog, Identity};
use crate::sip::user_agent::digest::{AnsweredRealms, AuthField};
use crate::sip::user_agent::next_hop::NextHop;
use crate::sip::user_agent::transaction::{RequestState, RequestTransaction};

/// A dialog. After its end only the ACK is kept, and the BYE until its transaction ends.
#[derive(Debug)]
pub(super) struct Fork {
    pub remote_tag: String,
    /// The dialog, until its end.
    dialog: Option<Box<Dialog>>,
    /// The destination of the ACK.
    next_hop: NextHop,
    ack: Arc<[u8]>,
    bye: Option<Box<Bye>>,
}

#[derive(Debug)]
struct Bye {
    to: NextHop,
    transaction: RequestTransaction,
    /// Kept until the final response: a challenge requires another BYE.
    dialog: Option<Box<Dialog>>,
    answered: AnsweredRealms,
    /// Whether it was sent again over a new connection.
    is_resent: bool,
}

impl Fork {
    /// Acknowledges the 2xx that opened `dialog`. `cseq` and `authorization` are those of the INVITE: the ACK
    /// carries the same credentials (RFC 3261 §22.1).
    pub fn open(
        dialog: Dialog,
        identity: &Identity,
        cseq: u32,
        authorization: &[AuthField],
        cx: &mut Context<'_>,
    ) -> Fork {
        let mut draft = dialog.ack(identity, &cx.branch(), cseq);
        for (name, value) in authorization {
            draft.field(name, value);
        }
        let ack: Arc<[u8]> = draft.bytes().into();
        let next_hop = dialog.next_hop().clone();
        cx.send(&next_hop, Method::Ack, &ack);
        Fork {
            remote_tag: dialog.remote_tag.clone(),
            dialog: Some(Box::new(dialog)),
            next_hop,
            ack,
            bye: None,
        }
    }

    /// Sends the ACK again, for a repeated 2xx.
    pub fn resend_ack(&self, cx: &mut Context<'_>) {
        cx.retransmit(&self.next_hop, Method::Ack, &self.ack);
    }

    /// The dialog, until its end.
    pub fn dialog_mut(&mut self) -> Option<&mut Dialog> {
        self.dialog.as_deref_mut()
    }

    /// Sends BYE, unless the dialog has ended.
    pub fn hang_up(&mut self, identity: &Identity, cx: &mut Context<'_>) {
        if let Some(dialog) = self.dialog.take() {
            self.send_bye(dialog, identity, AnsweredRealms::default(), cx);
        }
    }

    fn send_bye(
        &mut self,
        mut dialog: Box<Dialog>,
        identity: &Identity,
        answered: AnsweredRealms,
        cx: &mut Context<'_>,
    ) {
        let branch = cx.branch();
        let mut draft = dialog.next_request(Method::Bye, identity, &branch);
        for (name, value) in cx.authorize(identity, Method::Bye, dialog.request_uri(), b"") {
            draft.field(name, value);
        }
        let bytes: Arc<[u8]> = draft.bytes().into();
        let to = dialog.next_hop().clone();
        cx.send(&to, Method::Bye, &bytes);
        let transport = to.hop().transport;
        let transaction = RequestTransaction::start(cx.now, branch, bytes, transport, cx.timers);
        self.bye = Some(Box::new(Bye {
            to,
            transaction,
            dialog: Some(dialog),
            answered,
            is_resent: false,
        }));
    }

    /// Ends the dialog: the far end hung up.
    pub fn remote_hung_up(&mut self) {
        self.dialog = None;
    }

    /// Takes a response to a BYE. Returns whether it belongs to this fork. A challenge is answered with a new BYE.
    pub fn handle_bye_response(
        &mut self,
        response: &Response,
        identity: &Identity,
        cx: &mut Context<'_>,
    ) -> bool {
        let branch = response.via().and_then(|via| via.branch());
        let Some(bye) = &mut self.bye else {
            return false;
        };
        if branch != Some(&bye.transaction.branch) {
            return false;
        }
        if bye.transaction.handle_response(response.code(), cx.now, cx.timers)
            && let Some(dialog) = bye.dialog.take()
            && let Ok(true) = cx.handle_challenge(identity, response, &mut bye.answered)
        {
            let answered = std::mem::take(&mut bye.answered);
            self.send_bye(dialog, identity, answered, cx);
        }
        true
    }

    /// Sends an open BYE once more, over a new connection: a message of the call could not be sent.
    pub fn transport_failed(&mut self, cx: &mut Context<'_>) {
        if let Some(bye) = &mut self.bye
            && let Some(bytes) = bye.transaction.bytes.clone()
            && !std::mem::replace(&mut bye.is_resent, true)
        {
            cx.retransmit(&bye.to, Method::Bye, &bytes);
        }
    }

    /// Whether the dialog's messages go to this address.
    pub fn uses_address(&self, ip: IpAddr) -> bool {
        let dialog = self.dialog.as_ref().map(|dialog| dialog.next_hop());
        let bye = self.bye.as_ref().map(|bye| &bye.to);
        let mut next_hops = [Some(&self.next_hop), dialog, bye].into_iter().flatten();
        next_hops.any(|next_hop| next_hop.is_at(ip))
    }

    /// Takes the targets of a host name.
    pub fn resolve(&mut self, name: &GatewayUri, targets: &[Hop]) {
        self.next_hop.resolve(name, targets);
        if let Some(dialog) = &mut self.dialog {
            dialog.resolve(name, targets);
        }
        if let Some(bye) = &mut self.bye {
            bye.to.resolve(name, targets);
            if let Some(dialog) = &mut bye.dialog {
                dialog.resolve(name, targets);
            }
        }
    }

    /// Whether the dialog has ended and its BYE has a final response or has failed.
    pub fn is_settled(&self) -> bool {
        let bye = self.bye.as_deref();
        self.dialog.is_none() && bye.is_none_or(|bye| !bye.transaction.is_open())
    }

    /// Whether the dialog has ended and no transaction is left.
    pub fn is_over(&self) -> bool {
        self.dialog.is_none() && self.bye.is_none()
    }

    /// When to call [`Fork::tick`] next.
    pub fn deadline(&self) -> Option<Instant> {
        self.bye.as_ref()?.transaction.deadline()
    }

    /// Runs the timers that are due.
    pub fn tick(&mut self, cx: &mut Context<'_>) {
        let Some(bye) = &mut self.bye else {
            return;
        };
        if let Some(bytes) = bye.transaction.tick(cx.now, cx.timers) {
            cx.retransmit(&bye.to, Method::Bye, &bytes);
        }
        if bye.transaction.state == RequestState::Terminated {
            self.bye = None;
        }
    }

    /// Its approximate heap memory in bytes.
    pub fn bytes_held(&self) -> usize {
        let bye = self.bye.as_ref().map_or(0, |bye| {
            let dialog = bye.dialog.as_ref().map_or(0, |dialog| dialog.bytes_held());
            size_of::<Bye>() + bye.transaction.bytes_held() + bye.answered.bytes_held() + dialog
        });
        let dialog = self.dialog.as_ref().map_or(0, |dialog| dialog.bytes_held());
        self.remote_tag.capacity() + self.ack.len() + bye + dialog
    }
}
