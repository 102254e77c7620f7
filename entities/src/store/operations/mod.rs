//! What operators do and configure.

pub mod gateway_drains;
pub mod number_ports;
pub mod operator_log;
pub mod reviews;
