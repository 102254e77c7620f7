//! Reading `nexo.toml` and the environment.

pub mod effective;
pub mod error;
pub(super) mod raw;
pub(super) mod section;
pub mod source;
