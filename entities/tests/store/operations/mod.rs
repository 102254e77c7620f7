//! Drained gateways and ported numbers.

mod gateway_drains;
mod number_ports;
