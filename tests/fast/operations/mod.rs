//! Tests of operations: start and stop, supervision, overload, fairness, limits of the host, clocks, disk space, file
//! modes, proxies, backups, traces, packaging,
//! dependencies and leaks of codes.

mod backup;
mod clocks;
mod connections;
mod dependencies;
mod disk_space;
mod dns;
mod fairness;
mod files;
mod leaks;
mod lifecycle;
mod one_server;
mod overload;
mod packaging;
mod proxies;
mod routing;
mod shortages;
mod supervision;
mod traces;
