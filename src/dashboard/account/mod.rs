//! An account's pages: overview, deliveries, verifications, wallet, referrals, settings, limits.

pub(super) mod access_review;
mod date_range;
pub(super) mod deliveries;
pub(super) mod limits;
pub mod overview;
pub(super) mod referrals;
mod search;
pub(super) mod settings;
pub(super) mod top_up;
pub(super) mod verifications;
pub(super) mod wallet;
