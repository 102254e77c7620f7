//! The settings of an account, its limits, and the notices about its security.

pub mod access_review;
pub mod limits;
pub mod notices;
pub mod settings;
