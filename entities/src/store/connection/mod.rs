//! Connection-level concerns: disk failures, disk space, backups, file modes and the schema version.

pub mod backup;
mod disk_space;
pub(super) mod fail_stop;
pub(super) mod private_files;
pub(super) mod schema;
