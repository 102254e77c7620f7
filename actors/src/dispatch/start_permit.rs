//! Bounds how many sagas wait for their thread to start them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most sagas that wait to be started. A thread starts many thousands a second.
const MAX_PENDING: usize = 4_096;

/// A saga that is waiting to be started, until this is dropped.
pub(super) struct StartPermit(Arc<AtomicUsize>);

impl StartPermit {
    /// `None` if too many sagas wait already.
    pub fn acquire(pending: &Arc<AtomicUsize>) -> Option<StartPermit> {
        let permit = StartPermit(Arc::clone(pending));
        (pending.fetch_add(1, Ordering::AcqRel) < MAX_PENDING).then_some(permit)
    }
}

impl Drop for StartPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
