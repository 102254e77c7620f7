//! Spectral analysis for tests.

use std::f32::consts::TAU;

/// Returns the energy of `samples` at `hertz` as a fraction of their total energy, at 8 kHz. Silence around a
/// tone reduces it.
pub(crate) fn energy_share(hertz: f32, samples: &[i16]) -> f32 {
    let (mut re, mut im, mut total) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (value, phase) = (f32::from(*sample), TAU * hertz * n as f32 / 8000.0);
        re += value * phase.cos();
        im += value * phase.sin();
        total += value * value;
    }
    2.0 * (re * re + im * im) / (total * samples.len() as f32)
}
