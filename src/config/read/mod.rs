//! Reads `nexo.toml` and the environment.
//!
//! It is not `figment` or plain serde, because each key needs its allowed values in the error, its source in
//! `nexo config print`, and a mask if it is a secret.

pub mod effective;
pub mod error;
pub(super) mod raw;
pub(super) mod section;
pub mod source;
