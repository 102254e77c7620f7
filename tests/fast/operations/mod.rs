//! Tests of operations: start and stop, supervision, overload, limits of the host, file modes, proxies, backups,
//! traces, packaging and leaks of codes.

mod backup;
mod connections;
mod dns;
mod files;
mod leaks;
mod lifecycle;
mod overload;
mod packaging;
mod proxies;
mod shortages;
mod supervision;
mod traces;
