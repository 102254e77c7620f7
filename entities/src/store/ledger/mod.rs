//! Wallets, entries, and everything that moves or checks money.

pub mod account_closing;
pub mod audit;
pub mod entries;
pub mod low_balance;
pub mod posting;
pub mod totals;
pub mod wallets;
