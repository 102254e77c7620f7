//! Supervision: factories, heartbeats, back-off, and bounded mailboxes.

pub mod mailbox;
pub mod supervisor;
