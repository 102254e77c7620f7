//! Fuzz targets for all code that reads from the network.
//!
//! Two programs call the targets. `tests/short.rs` mutates the seeds for a few seconds in every test run, with the
//! build of the other tests. `fuzz/run` runs libFuzzer, guided by coverage, for a given time.

mod scene;
pub mod targets;

pub use scene::{NAMES, Scene, is_oversized};
