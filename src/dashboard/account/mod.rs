//! An account's pages: overview, deliveries, wallet, referrals, settings.

pub(super) mod access_review;
pub(super) mod deliveries;
pub mod overview;
pub(super) mod referrals;
pub(super) mod settings;
pub(super) mod top_up;
pub(super) mod wallet;
