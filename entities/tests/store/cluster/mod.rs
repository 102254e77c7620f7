//! Nodes, their leases, and the deliveries and webhooks of dead nodes.

mod nodes;
mod recovery;
