//! The gateway is killed under load, at random moments and at its fsyncs, and its disk is made to fail. No
//! result that a customer received is lost, no call or webhook is repeated, and every wallet stays correct.
//!
//! The short forms run with all tests; `tests/system/crash/run` runs the long ones.

mod checks;
mod disk;
mod far_end;
mod gateway;
mod kills;
mod load;
mod receiver;
mod verifications;
