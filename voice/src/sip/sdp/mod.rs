//! SDP (RFC 4566), as far as one G.711 audio stream needs it: offers, answers (RFC 3264) and the SRTP keys
//! in them (RFC 4568). [`find`] takes it out of a message.

pub use audio::{Audio, CONTENT_TYPE, CryptoLines, Direction, SdpError};
pub use body::find;
pub use local::LocalDescription;
pub use negotiate::{Agreed, AgreedKeys, agree};
pub use read::read;
pub use write::write;

mod audio;
mod body;
mod local;
mod negotiate;
mod read;
pub mod sdes;
#[cfg(test)]
mod tests;
mod write;
