//! Tests of operations: start and stop, supervision, overload, fairness, backups, traces, routing, wallets without funds, packaging, dependencies
//! and leaks of codes.

mod backup;
mod dependencies;
mod fairness;
pub(crate) mod leaks;
mod lifecycle;
mod overload;
mod packaging;
mod routing;
mod short_wallets;
mod supervision;
mod traces;
