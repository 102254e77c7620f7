//! Debits, refunds, credits and the invariants of the ledger.

mod account_closing;
mod audit;
mod backends_agree;
mod concurrency;
mod entries;
mod posting;
mod properties;
mod totals;
