//! Audio formats: the G.711 codecs and WAV files.

pub mod g711;
#[cfg(test)]
pub(crate) mod spectrum;
pub mod wav;
