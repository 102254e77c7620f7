//! Metrics of an actor's mailbox: how many messages wait in it, and how long the actor handles each.
//!
//! Every message that a [`Handle`](crate::supervision::handle::Handle) sends is wrapped in a [`Measured`]. It
//! leaves the count when it is handled and when it is dropped with its mailbox.

use std::sync::Arc;
use std::time::Instant;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};
use metrics::{Gauge, Histogram};

/// The mailbox metrics of one role, registered once.
pub(crate) struct MailboxMeters {
    depth: Gauge,
    handling: Histogram,
}

impl MailboxMeters {
    /// `capacity`: how many messages may wait.
    pub(crate) fn new(role: &str, capacity: usize) -> Arc<MailboxMeters> {
        let actor = || role.to_owned();
        metrics::gauge!("nexo_actor_mailbox_limit", "actor" => actor()).set(capacity as f64);
        Arc::new(MailboxMeters {
            depth: metrics::gauge!("nexo_actor_mailbox_depth", "actor" => actor()),
            handling: metrics::histogram!("nexo_actor_handling_seconds", "actor" => actor()),
        })
    }
}

/// A message whose wait and handling are measured.
pub struct Measured<M> {
    message: M,
    waiting: Waiting,
}

/// Counts a message as waiting until this is dropped.
struct Waiting(Arc<MailboxMeters>);

impl<M> Measured<M> {
    pub(crate) fn new(message: M, meters: &Arc<MailboxMeters>) -> Measured<M> {
        meters.depth.increment(1.0);
        Measured { message, waiting: Waiting(Arc::clone(meters)) }
    }

    /// Takes the message out of the mailbox and starts to measure its handling.
    #[doc(hidden)]
    pub fn begin(self) -> (M, Handling) {
        let handling = Handling { meters: Arc::clone(&self.waiting.0), since: Instant::now() };
        (self.message, handling)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.depth.decrement(1.0);
    }
}

impl<M: Message> Message for Measured<M> {
    type Result = M::Result;
}

/// A message that is being handled. Its drop records the duration, also when the handler panics.
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

/// The actor's answer to the message inside a [`Measured`].
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
