//! Commands that manage accounts, money and webhooks.

pub mod account;
pub mod deposit;
pub mod key;
pub mod operator;
pub mod payouts;
pub mod ports;
pub mod referral;
pub mod wallet;
pub mod webhook;
