//! Accounts, sign-in and API keys.

pub mod accounts;
pub mod api_key_changes;
pub mod api_keys;
pub mod passwords;
pub mod sessions;
pub mod sign_up;
