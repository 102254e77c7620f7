//! Tests of operations: start and stop, supervision, overload, fairness, clocks, disk space, backups, traces, packaging
//! and leaks of codes.

mod backup;
mod clocks;
mod disk_space;
mod fairness;
mod leaks;
mod lifecycle;
mod one_server;
mod overload;
mod packaging;
mod routing;
mod supervision;
mod traces;
