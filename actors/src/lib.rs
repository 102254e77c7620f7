//! The supervised actors of NEXO ROUTE and the saga of one OTP.

pub mod clock;
pub mod dispatch;
pub mod dns;
pub mod engine;
pub mod jobs;
pub mod node;
pub mod recovery;
pub mod supervision;
pub mod task_set;
pub mod test_hooks;
pub mod trunk;
pub mod wallet;
pub mod webhook;
