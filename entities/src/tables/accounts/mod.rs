//! Accounts, keys and sign-in.

pub mod account;
pub mod api_key;
pub mod email_change;
pub mod integration;
pub mod key_allowlist;
pub mod password_reset;
pub mod pending_sign_up;
pub mod session;
