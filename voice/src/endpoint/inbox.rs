//! The input of the endpoint's thread: commands, media events and stream events.
//!
//! A busy thread polls the inbox. A thread that waits for the network is woken through a pipe.

use std::collections::HashSet;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::call::order::CallOrder;
use super::call::report::CallEvent;
use super::out_of_dialog::OutOfDialogRequest;
use crate::net::streams::StreamEvent;
use crate::rtp::send::clock::MediaEvent;
use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::RequestOutcome;

/// A command to the thread.
pub(crate) enum Command {
    Place {
        call: u64,
        order: Box<CallOrder>,
        events: mpsc::UnboundedSender<CallEvent>,
    },
    Abandon(u64),
    SendRequest {
        request: Box<OutOfDialogRequest>,
        reply: oneshot::Sender<RequestOutcome>,
    },
    SetPeers(HashSet<Hop>),
    /// The targets of a name; none if it has no address.
    Resolved {
        name: Arc<GatewayUri>,
        targets: Vec<Hop>,
    },
    Shutdown {
        until: Instant,
        done: oneshot::Sender<()>,
    },
    #[cfg(test)]
    Panic,
}

/// The maximum number of queued messages. Further ones are dropped, as a full socket buffer drops them.
const MAX_STREAM_EVENTS: usize = 100_000;

/// Everything that waits for the thread.
#[derive(Default)]
pub(crate) struct Queues {
    pub commands: Vec<Command>,
    pub streams: Vec<StreamEvent>,
    pub media: Vec<MediaEvent>,
}

impl Queues {
    fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.media.is_empty() && self.streams.is_empty()
    }
}

pub(crate) struct Inbox {
    queues: Mutex<Queues>,
    is_asleep: AtomicBool,
    is_closed: AtomicBool,
    waker: PipeWriter,
}

impl Inbox {
    /// An inbox, and the pipe that becomes readable when its sleeping owner must wake up.
    ///
    /// # Errors
    /// If the system cannot create a pipe.
    pub fn new() -> io::Result<(Inbox, PipeReader)> {
        let (waker_reader, waker) = io::pipe()?;
        let inbox = Inbox {
            queues: Mutex::default(),
            is_asleep: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            waker,
        };
        Ok((inbox, waker_reader))
    }

    /// Queues a command. A closed inbox drops it, which the sender notices by its channels.
    pub fn post(&self, command: Command) {
        let mut queues = self.lock();
        if !self.is_closed() {
            queues.commands.push(command);
            drop(queues);
            self.wake();
        }
    }

    pub fn post_media(&self, events: &[MediaEvent]) {
        self.lock().media.extend_from_slice(events);
        self.wake();
    }

    pub fn post_stream(&self, event: StreamEvent) {
        let mut queues = self.lock();
        let is_failure = matches!(event, StreamEvent::Failed { .. });
        if is_failure || queues.streams.len() < MAX_STREAM_EVENTS {
            queues.streams.push(event);
        }
        drop(queues);
        self.wake();
    }

    /// Drops everything that is queued, and all later commands.
    pub fn close(&self) {
        let mut queues = self.lock();
        self.is_closed.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *queues);
        // Outside the lock, because dropping the commands wakes their senders.
        drop(queues);
        drop(waiting);
        self.wake();
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Swaps the queues with `empty`, which must be empty.
    pub fn take(&self, empty: &mut Queues) {
        std::mem::swap(&mut *self.lock(), empty);
    }

    /// Announces that the owner will sleep: from now on posting wakes it. Returns whether the owner must poll
    /// the inbox instead of sleeping.
    pub fn must_poll(&self) -> bool {
        self.is_asleep.store(true, Ordering::SeqCst);
        let must_poll = !self.lock().is_empty() || self.is_closed();
        if must_poll {
            self.set_awake();
        }
        must_poll
    }

    /// Announces that the owner is awake.
    pub fn set_awake(&self) {
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    fn wake(&self) {
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            // At most one byte for each sleep, so that the pipe never fills. It fails if the owner is gone.
            let _ = (&self.waker).write(&[0]);
        }
    }

    /// Nothing can panic while the lock is held.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
