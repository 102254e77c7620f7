//! The gateway is killed under load, at random moments and at its fsyncs, and its disk is made to fail:
//! nothing that a customer was told is lost, nobody is called or told twice, and no wallet is wrong.
//!
//! The short forms run with all tests; `tests/system/crash/run` runs the long ones.

mod checks;
mod disk;
mod far_end;
mod gateway;
mod kills;
mod load;
mod receiver;
