//! How many sagas may wait for their thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most sagas that wait for their thread. A thread begins many thousands a second.
const MOST_TO_BEGIN: usize = 4_096;

/// One of the sagas that are yet to begin.
pub(super) struct Ticket(Arc<AtomicUsize>);

impl Ticket {
    /// `None` where too many wait already.
    pub fn draw(to_begin: &Arc<AtomicUsize>) -> Option<Ticket> {
        let ticket = Ticket(Arc::clone(to_begin));
        (to_begin.fetch_add(1, Ordering::AcqRel) < MOST_TO_BEGIN).then_some(ticket)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
