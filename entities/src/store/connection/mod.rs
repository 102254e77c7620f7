//! Connection-level concerns: disk failures, backups, file modes and the schema version.

pub mod backup;
pub(super) mod fail_stop;
pub(super) mod private_files;
pub(super) mod schema;
