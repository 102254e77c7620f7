//! Monitors gateways beside calls: their DNS names, OPTIONS probes and our registrations.
//!
//! There is one task per gateway and kind. The tasks only write a
//! [`GatewayState`](crate::trunk::gateway_state::GatewayState).

mod gateway_tasks;
mod peers;
mod requests;
mod trunk_monitor;

pub use gateway_tasks::Locate;
pub use peers::tls_profiles;
pub use requests::{connection_error, probe};
pub use trunk_monitor::TrunkMonitor;
