//! What the process tells of itself: logs, traces, metrics.

mod logs;
mod page;
mod recorder;
mod samples;
mod traces;

pub use logs::{Telling, log_to_stderr, tell};
pub use page::serve_metrics;
pub use recorder::install_recorder;
pub use samples::{Sampled, sample};
