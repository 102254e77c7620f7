//! Tests of deposits, referrals and payouts.

mod deposits;
mod referrals;
