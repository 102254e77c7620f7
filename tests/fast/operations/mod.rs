//! Tests of operations: start and stop, supervision, overload, backups, traces, packaging,
//! dependencies and leaks of codes.

mod backup;
mod dependencies;
mod leaks;
mod lifecycle;
mod overload;
mod packaging;
mod supervision;
mod traces;
