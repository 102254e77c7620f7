//! Nodes, their leases, and what a dead node leaves behind.

mod nodes;
mod recovery;
