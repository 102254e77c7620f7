//! Connection-level concerns: disk failures, disk space, backups, file modes, the schema version, and checks before a
//! start.

pub mod backup;
mod disk_space;
pub(super) mod fail_stop;
pub mod preflight;
pub(super) mod private_files;
pub(super) mod schema;
