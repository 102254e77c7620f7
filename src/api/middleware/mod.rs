//! Around every request: ids, metrics and pace.

pub(super) mod meters;
pub(crate) mod pacing;
pub(super) mod request_id;
