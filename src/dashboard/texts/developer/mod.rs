//! Texts of the developer's pages.

pub mod api_keys;
pub mod docs;
pub mod integrations;
pub mod test_otp;
pub mod webhooks;
