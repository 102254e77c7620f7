//! The sandbox carrier's SIP side.

pub(super) mod call;
pub(super) mod callee;
pub(super) mod dialog;
pub(super) mod finished_transactions;
pub(super) mod live_call;
pub(super) mod server;
