//! Commands that manage accounts, money, webhooks and ported numbers in the database.

pub mod account;
pub mod deposit;
pub mod integration;
pub mod key;
pub mod operator;
pub mod payouts;
pub mod ports;
pub mod referral;
pub mod wallet;
pub mod webhook;
