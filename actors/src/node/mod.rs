//! The state of this node that every other part may read: its lease, and changes made elsewhere.

pub mod changes;
pub mod lease;
