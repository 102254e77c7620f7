//! What operators rely on: start and stop, supervision, overload, backups, traces, packaging, and that no code leaks.

mod backup;
mod leaks;
mod lifecycle;
mod overload;
mod packaging;
mod supervision;
mod traces;
