//! Sections about accounts: `[privacy]`, `[quotas]`, `[reviews]`, `[sign_in]`.

pub mod privacy;
pub mod quotas;
pub mod reviews;
pub mod sign_in;
