//! Deposits, commissions, referrals and payouts.

mod commissions;
mod deposits;
mod referrals;
