//! SDP (RFC 4566), as far as one G.711 audio stream needs it: offers, answers (RFC 3264) and the SRTP keys
//! in them (RFC 4568).

pub use audio::{Audio, CONTENT_TYPE, CryptoLines, Direction, SdpError};
pub use negotiate::{Agreed, AgreedKeys, agree, answer};
pub use read::read;
pub use write::write;

mod audio;
mod negotiate;
mod read;
pub mod sdes;
#[cfg(test)]
mod tests;
mod write;
