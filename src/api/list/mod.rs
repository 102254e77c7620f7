//! Lists: parameters, cursors, CSV.

pub(super) mod accept;
pub(crate) mod cursor;
pub(super) mod export;
pub(super) mod parameters;
