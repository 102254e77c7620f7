//! The gateway is killed under load, at random moments and at its fsyncs, and its disk is made to fail:
//! nothing that a customer was told is lost, nobody is called or told twice, and no wallet is wrong.
//!
//! The short forms run with all tests; `tests/crash/run` runs the long ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

#[path = "crash/checks.rs"]
mod checks;
#[path = "crash/disk.rs"]
mod disk;
#[path = "crash/far_end.rs"]
mod far_end;
#[path = "crash/gateway.rs"]
mod gateway;
#[path = "crash/kills.rs"]
mod kills;
#[path = "crash/load.rs"]
mod load;
#[path = "crash/receiver.rs"]
mod receiver;
