//! Wallets and their entries.

pub mod entry;
pub mod wallet;
