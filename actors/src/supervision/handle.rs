//! The address of a role. It always leads to the actor that currently runs the role.

use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, Message};
use arc_swap::ArcSwap;
use thiserror::Error;

use crate::supervision::mailbox::{MailboxMeters, Measured};

/// Why a message did not reach its actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Undelivered {
    #[error("the actor's mailbox is full")]
    Full,
    #[error("the actor is down, or did not answer in time")]
    Down,
}

/// Sends messages to the current actor of a role.
pub struct Handle<A: Actor> {
    name: Arc<str>,
    current: Arc<ArcSwap<Addr<A>>>,
    meters: Arc<MailboxMeters>,
}

impl<A: Actor> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            current: Arc::clone(&self.current),
            meters: Arc::clone(&self.meters),
        }
    }
}

impl<A: Actor<Context = Context<A>>> Handle<A> {
    /// `capacity`: of the mailbox, in messages.
    pub(super) fn new(name: Arc<str>, capacity: usize, current: Arc<ArcSwap<Addr<A>>>) -> Self {
        let meters = MailboxMeters::new(&name, capacity);
        Self { name, current, meters }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a message into the mailbox, if the mailbox has room and the actor is running.
    pub fn try_send<M>(&self, message: M) -> Result<(), Undelivered>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<Measured<M>>,
        A::Context: ToEnvelope<A, Measured<M>>,
    {
        self.current.load().try_send(Measured::new(message, &self.meters)).map_err(|error| {
            match error {
                actix::prelude::SendError::Full(_) => Undelivered::Full,
                actix::prelude::SendError::Closed(_) => Undelivered::Down,
            }
        })
    }

    /// Sends a message and waits for the answer, at most `timeout`.
    pub async fn ask<M>(&self, message: M, timeout: Duration) -> Result<M::Result, Undelivered>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<Measured<M>>,
        A::Context: ToEnvelope<A, Measured<M>>,
    {
        let measured = Measured::new(message, &self.meters);
        let answer = self.current.load().send(measured);
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Undelivered::Down),
        }
    }
}
