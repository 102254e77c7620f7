//! Building blocks of statements: bulk inserts, row readers, Bloom filters, ids as times.

pub(super) mod bloom;
pub(super) mod bulk;
pub(super) mod id_time;
pub(super) mod record;
