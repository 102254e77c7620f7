//! What an actor's mailbox costs: how many messages wait in it, and how long the actor works on each.
//!
//! Every message that comes through a [`Handle`](crate::supervision::supervisor::Handle) is put into a [`Measured`], which counts
//! itself out again however it ends: handled, or dropped with its mailbox.

use std::sync::Arc;
use std::time::Instant;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};
use metrics::{Gauge, Histogram};

/// One role's figures, registered once.
pub(crate) struct MailboxMeters {
    depth: Gauge,
    handling: Histogram,
}

impl MailboxMeters {
    /// `limit`: how many messages may wait.
    pub(crate) fn new(role: &str, limit: usize) -> Arc<MailboxMeters> {
        let actor = || role.to_owned();
        metrics::gauge!("nexo_actor_mailbox_limit", "actor" => actor()).set(limit as f64);
        Arc::new(MailboxMeters {
            depth: metrics::gauge!("nexo_actor_mailbox_depth", "actor" => actor()),
            handling: metrics::histogram!("nexo_actor_handling_seconds", "actor" => actor()),
        })
    }
}

/// A message that is measured on its way.
pub struct Measured<M> {
    message: M,
    place: Place,
}

/// A message's place in the mailbox, until this is dropped.
struct Place(Arc<MailboxMeters>);

impl<M> Measured<M> {
    pub(crate) fn new(message: M, meters: &Arc<MailboxMeters>) -> Measured<M> {
        meters.depth.increment(1.0);
        Measured {
            message,
            place: Place(Arc::clone(meters)),
        }
    }

    /// Takes it out of the mailbox.
    #[doc(hidden)]
    pub fn begin(self) -> (M, Handling) {
        let handling = Handling {
            meters: Arc::clone(&self.place.0),
            since: Instant::now(),
        };
        (self.message, handling)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.depth.decrement(1.0);
    }
}

impl<M: Message> Message for Measured<M> {
    type Result = M::Result;
}

/// A message being handled; how long is noted when this is dropped, also in a panic.
#[doc(hidden)]
pub struct Handling {
    meters: Arc<MailboxMeters>,
    since: Instant,
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.meters.handling.record(self.since.elapsed());
    }
}

/// What the actor answers to the message inside a [`Measured`].
#[doc(hidden)]
pub struct Answer<R>(pub R);

impl<A, M, R> MessageResponse<A, Measured<M>> for Answer<R>
where
    A: Actor,
    M: Message,
    R: MessageResponse<A, M>,
{
    fn handle(self, ctx: &mut A::Context, tx: Option<OneshotSender<M::Result>>) {
        self.0.handle(ctx, tx);
    }
}
