//! The change feed and the sets of ported numbers.

pub mod change;
pub mod port_piece;
pub mod port_set;
