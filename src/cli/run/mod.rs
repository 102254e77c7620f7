//! Commands that run the gateway, the sandbox carrier or single calls.

pub mod call;
pub mod demo;
pub mod sandbox;
pub mod serve;
pub mod trunks;
