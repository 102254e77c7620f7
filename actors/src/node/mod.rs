//! What every part may ask of this node: its lease, and changes made elsewhere.

pub mod changes;
pub mod lease;
