//! Tests of the whole installation: several nodes, crashes, a browser, Prometheus, load.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;
mod crash;
mod load;
mod nodes;
mod observability;
