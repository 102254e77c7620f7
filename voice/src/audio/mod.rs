//! Audio samples: G.711 and WAV.

pub mod g711;
pub mod wav;
