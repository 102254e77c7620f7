//! The command queue of a media thread. A thread that plays reads it on each tick and is not woken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};

use super::stats::SharedState;
use super::stream_config::{StreamConfig, StreamId, StreamUpdate};
use crate::speech::prompts::Script;

/// A command to a media thread. A stream is stopped through its [`SharedState`] instead.
pub(super) enum Command {
    Play {
        /// Index among the thread's own sockets.
        socket: usize,
        config: Box<StreamConfig>,
        shared: Arc<SharedState>,
    },
    ReplaceScript {
        stream: StreamId,
        script: Script,
    },
    Update {
        stream: StreamId,
        update: Box<StreamUpdate>,
    },
    #[cfg(test)]
    Panic,
}

#[derive(Default)]
pub(super) struct Mailbox {
    commands: Mutex<Vec<Command>>,
    is_asleep: AtomicBool,
    is_closed: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Mailbox {
    /// Makes the current thread the one that is woken.
    pub fn attach_current_thread(&self) {
        self.thread.get_or_init(thread::current);
    }

    pub fn post(&self, command: Command) {
        self.locked().push(command);
        self.wake();
    }

    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if self.is_asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Nothing can panic while the lock is held.
    fn locked(&self) -> MutexGuard<'_, Vec<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Moves the queued commands to `commands`, which is empty.
    pub fn take(&self, commands: &mut Vec<Command>) {
        std::mem::swap(&mut *self.locked(), commands);
    }

    /// Sleeps until a command is queued or the mailbox is closed.
    pub fn sleep(&self) {
        loop {
            // Set before the last check, so that a later `post` sees that it must wake the thread.
            self.is_asleep.store(true, Ordering::SeqCst);
            if self.is_closed.load(Ordering::SeqCst) || !self.locked().is_empty() {
                self.is_asleep.store(false, Ordering::SeqCst);
                return;
            }
            thread::park();
        }
    }
}
