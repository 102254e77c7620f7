//! Nodes on one database.

pub mod changes;
pub mod node_session;
pub mod nodes;
pub mod secret;
