//! The supervised actors of NEXO ROUTE and the saga of one OTP.

pub mod admission;
mod attempts;
pub mod carrier;
pub mod changes;
pub mod clock;
pub mod dispatch;
pub mod engine;
pub mod flights;
pub mod gateway;
pub mod gateway_state;
pub mod lease;
pub mod live;
pub mod live_trunk;
pub mod mailbox;
pub mod meters;
mod pace;
pub mod privacy;
pub mod reaper;
pub mod takeover;
pub mod traces;
pub mod trunk_watch;
pub mod wallet;
pub mod watch;
pub mod webhook;
pub mod webhook_client;
