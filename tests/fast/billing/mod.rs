//! Money from and to customers: deposits, referrals and payouts.

mod deposits;
mod referrals;
