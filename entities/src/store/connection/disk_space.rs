//! Whether the disk under the database is full, and the write that finds out.
//!
//! A full disk rejects writes and nothing else, so neither a read nor the absence of errors shows that OTPs would be
//! refused. Any write that fails for lack of space marks the disk as full. Only a successful probe clears the mark.

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::store::{Store, StoreError};

/// How much a probe writes: about as much as a full batch of OTPs.
const PROBE_BYTES: usize = 64 * 1024;

impl Store {
    /// Returns whether a write failed because the disk is full, and none has shown since that there is space.
    pub fn is_disk_full(&self) -> bool {
        self.fail_stop.is_disk_full()
    }

    /// Writes and commits [`PROBE_BYTES`].
    ///
    /// # Errors
    /// If the disk is full or the database fails.
    pub async fn probe_disk(&self) -> Result<(), StoreError> {
        // Random bytes: PostgreSQL compresses others.
        let blocks = PROBE_BYTES / size_of::<Uuid>();
        let filler: Vec<u8> = (0..blocks).flat_map(|_| Uuid::new_v4().into_bytes()).collect();
        let probe = self.sql(
            "INSERT INTO disk_probes (id, filler) VALUES (1, ?) \
             ON CONFLICT (id) DO UPDATE SET filler = excluded.filler",
            [filler.into()],
        );
        let probed = self.write_connection()?.execute_raw(probe).await;
        self.check_write(probed)?;
        self.fail_stop.disk_has_space();
        Ok(())
    }
}
