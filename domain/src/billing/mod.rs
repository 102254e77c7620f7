//! Money that comes in, goes out and is shared: wallet debits, deposits, payouts, referrals.

pub mod deposit;
pub mod ledger;
pub mod low_balance;
pub mod payout;
pub mod referral;
pub mod vietqr;
