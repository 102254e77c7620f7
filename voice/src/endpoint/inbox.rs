//! The way into the endpoint's thread. A thread that is busy looks into it by itself; one that
//! waits for the network is woken through a pipe.

use std::collections::HashSet;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::call_events::{CallNews, CallOrder};
use super::out_of_dialog::Question;
use crate::net::streams::StreamEvent;
use crate::rtp::send::clock::MediaEvent;
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::SipAnswer;

/// What the thread is asked to do.
pub(super) enum Order {
    Place {
        call: u64,
        order: Box<CallOrder>,
        news: mpsc::UnboundedSender<CallNews>,
    },
    Abandon(u64),
    Ask {
        question: Box<Question>,
        reply: oneshot::Sender<SipAnswer>,
    },
    SetPeers(HashSet<Hop>),
    Shutdown {
        until: Instant,
        done: oneshot::Sender<()>,
    },
    #[cfg(test)]
    Panic,
}

const MOST_STREAM_EVENTS: usize = 100_000;

/// All that waits for the thread.
#[derive(Default)]
pub(super) struct Post {
    pub orders: Vec<Order>,
    /// At most [`MOST_STREAM_EVENTS`]: more are dropped, as a socket's buffer drops them.
    pub streams: Vec<StreamEvent>,
    pub media: Vec<MediaEvent>,
}

pub(super) struct Mailbox {
    post: Mutex<Post>,
    is_asleep: AtomicBool,
    is_closed: AtomicBool,
    bell: PipeWriter,
}

impl Mailbox {
    /// A mailbox, and what becomes readable when its sleeping owner is to wake up.
    ///
    /// # Errors
    /// When the system gives no pipe.
    pub fn new() -> io::Result<(Mailbox, PipeReader)> {
        let (bell_reader, bell) = io::pipe()?;
        let mailbox = Mailbox {
            post: Mutex::default(),
            is_asleep: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            bell,
        };
        Ok((mailbox, bell_reader))
    }

    /// Leaves an order. Once the mailbox is closed it is dropped, which its sender sees.
    pub fn post(&self, order: Order) {
        let mut post = self.locked();
        if !self.is_closed() {
            post.orders.push(order);
            drop(post);
            self.wake();
        }
    }

    pub fn post_media(&self, events: &[MediaEvent]) {
        self.locked().media.extend_from_slice(events);
        self.wake();
    }

    pub fn post_stream(&self, event: StreamEvent) {
        let mut post = self.locked();
        let is_failure = matches!(event, StreamEvent::Failed { .. });
        if is_failure || post.streams.len() < MOST_STREAM_EVENTS {
            post.streams.push(event);
        }
        drop(post);
        self.wake();
    }

    /// Takes no more orders, and drops those that wait.
    pub fn close(&self) {
        let mut post = self.locked();
        self.is_closed.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *post);
        drop(post);
        drop(waiting);
        self.wake();
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Moves what waits into `post`, which is empty.
    pub fn take(&self, post: &mut Post) {
        std::mem::swap(&mut *self.locked(), post);
    }

    /// To be called before sleeping; whether there is a reason not to. From then on whoever posts
    /// rings the bell.
    pub fn is_to_stay_awake(&self) -> bool {
        self.is_asleep.store(true, Ordering::SeqCst);
        let post = self.locked();
        let is_empty = post.orders.is_empty() && post.media.is_empty() && post.streams.is_empty();
        let stay = !is_empty || self.is_closed();
        drop(post);
        if stay {
            self.woken();
        }
        stay
    }

    /// To be called after sleeping.
    pub fn woken(&self) {
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    fn wake(&self) {
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            // One byte for each sleep never fills the pipe; a thread that is gone needs none.
            let _ = (&self.bell).write(&[0]);
        }
    }

    /// Nothing can panic while the lock is held.
    fn locked(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
