//! The messages of the webhook actor.

use actix::Message;

/// Scans the outbox, and writes the results of finished POSTs.
pub struct Wake;

impl Message for Wake {
    type Result = ();
}

/// A scan of the outbox has finished.
pub(super) struct ScanFinished {
    pub may_be_more: bool,
}

impl Message for ScanFinished {
    type Result = ();
}
