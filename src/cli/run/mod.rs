//! Commands that run something.

pub mod call;
pub mod demo;
pub mod sandbox;
pub mod serve;
pub mod trunks;
