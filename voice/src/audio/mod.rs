//! Audio formats: the G.711 codecs and WAV files.

pub mod g711;
pub mod wav;
