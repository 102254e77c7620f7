//! Building blocks of statements: bulk statements, value parsers, Bloom filters, timestamps of ids.

pub(super) mod bloom;
pub(super) mod bulk;
pub(super) mod id_time;
pub(super) mod record;
pub(super) mod rows;
