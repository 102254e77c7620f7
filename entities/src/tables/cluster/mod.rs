//! Nodes, changes between them, and the number-portability sets they share.

pub mod change;
pub mod node;
pub mod port_piece;
pub mod port_set;
