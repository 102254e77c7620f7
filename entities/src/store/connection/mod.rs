//! Connection-level concerns: disk failures, backups and the schema version.

pub mod backup;
pub(super) mod fail_stop;
pub(super) mod schema;
