//! What a customer reads: deliveries, ledger, balance; and what a bank reports.

pub mod bank_notifications;
pub(crate) mod deliveries;
pub(super) mod delivery_and_balance;
pub mod ledger;
