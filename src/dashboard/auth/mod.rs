//! Sign-up, sign-in, passwords and the second factor.

pub(super) mod confirmation;
pub(super) mod credentials;
pub(super) mod email_change;
pub(super) mod hashing;
pub(super) mod limits;
mod link_pages;
pub(super) mod password_reset;
pub(super) mod session;
pub(super) mod sign_in;
pub(super) mod sign_out;
pub(super) mod sign_up;
pub(super) mod tokens;
pub(super) mod totp;
