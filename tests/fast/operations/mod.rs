//! Tests of operations: start and stop, supervision, overload, backups, traces, packaging and leaks of codes.

mod backup;
mod leaks;
mod lifecycle;
mod overload;
mod packaging;
mod routing;
mod supervision;
mod traces;
