//! What holds for the connection: failing disks, backups, the schema's state.

pub mod backup;
pub(super) mod fail_stop;
pub(super) mod schema;
