//! Rules for money: wallet debits, deposits, payouts, referrals.

pub mod banks;
pub mod deposit;
pub mod ledger;
pub mod low_balance;
pub mod payout;
pub mod referral;
pub mod vietqr;
