//! Supervision: factories, heartbeats, back-off, and bounded mailboxes.

pub mod back_off;
pub mod handle;
pub mod mailbox;
pub mod supervisor;
#[cfg(test)]
mod tests;
