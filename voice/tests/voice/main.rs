//! Calls between the engine and the sandbox carrier over real sockets, and the torture messages of RFC 4475.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod one_call;
mod sandbox_numbers;
mod torture;
