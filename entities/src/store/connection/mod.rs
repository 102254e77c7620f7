//! Connection-level concerns: disk failures, disk space, backups and the schema version.

pub mod backup;
mod disk_space;
pub(super) mod fail_stop;
pub(super) mod schema;
