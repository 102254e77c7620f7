//! The rules of NEXO ROUTE, pure: no clock, no randomness, no input or output.
//!
//! Time and randomness come in as arguments, so every rule here can be tested by walking time.

pub mod acceptance;
pub mod api_key;
pub mod breaker;
pub mod burst;
pub mod call;
pub mod call_steps;
pub mod carrier_plan;
pub mod client_ip;
pub mod deposit;
pub mod email;
pub mod idempotency;
pub mod ids;
pub mod ledger;
pub mod money;
pub mod otp;
pub mod outcome;
pub mod password_rule;
pub mod payout;
pub mod phone;
pub mod phone_window;
pub mod ports;
pub mod referral;
pub mod timestamp;
pub mod trace_parent;
pub mod vietqr;
pub mod wallet_notice;
pub mod webhook;
pub mod webhook_target;
