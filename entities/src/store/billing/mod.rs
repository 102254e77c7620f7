//! Deposits, payouts and referrals.

pub mod bank_payments;
pub mod deposits;
pub mod payouts;
pub mod referrals;
