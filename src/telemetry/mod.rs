//! Logs, traces and metrics of the process.

mod line_limit;
mod logs;
mod page;
mod recorder;
mod samples;
mod traces;

pub use logs::{TelemetryGuard, log_to_stderr, start};
pub use page::serve_metrics;
pub use recorder::install_recorder;
pub use samples::{Sampled, sample};
pub use traces::check as check_traces;
