//! Around every request: ids and metrics.

pub(super) mod meters;
pub(super) mod request_id;
