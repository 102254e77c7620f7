//! A carrier's trunk: its actor, gateways, admission, probes and registrations.

pub mod admission;
pub mod carrier;
pub mod gateway;
pub mod gateway_state;
pub mod live_trunk;
pub mod meters;
pub mod monitor;
