//! Calls against independent programs: SIPp, Kamailio, baresip and dnsmasq. Most tests wait for real calls.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod interop;
mod key_injector;
mod sipp;
mod trunks;
