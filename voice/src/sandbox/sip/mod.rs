//! The SIP side of the sandbox carrier: the callee, which has no I/O, and the server around it.

mod action;
mod call;
mod callee;
mod dialog;
mod finished_transactions;
mod live_call;
pub(super) mod server;
