//! Signing up, signing in, passwords and the second factor.

pub(super) mod confirmation;
pub(super) mod hashing;
pub(super) mod password_reset;
pub(super) mod sign_in;
pub(super) mod sign_out;
pub(super) mod sign_up;
pub(super) mod throttle;
pub(super) mod tokens;
pub(super) mod totp;
pub(super) mod totp_pages;
