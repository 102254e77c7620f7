//! What a voicemail box plays to its caller: a chime in place of a person's words, then the beep.

use std::f32::consts::TAU;
use std::sync::LazyLock;

const SAMPLE_RATE: usize = 8000;
const LEVEL: f32 = 9_000.0;
/// Notes of the chime, in Hz; together three seconds.
const NOTES: [f32; 6] = [523.0, 659.0, 784.0, 659.0, 587.0, 523.0];
const NOTE_MS: usize = 500;
const PAUSE_MS: usize = 300;
const BEEP_HZ: f32 = 1000.0;
const BEEP_MS: usize = 500;
/// Each tone swells and fades within this time, so that it does not click.
const EDGE_MS: usize = 20;

static GREETING: LazyLock<Vec<i16>> = LazyLock::new(|| {
    let mut audio = Vec::new();
    for note in NOTES {
        tone(note, NOTE_MS, &mut audio);
    }
    audio.resize(audio.len() + samples(PAUSE_MS), 0);
    tone(BEEP_HZ, BEEP_MS, &mut audio);
    audio
});

/// The greeting and the beep, 8 kHz mono.
pub(in crate::sandbox) fn voicemail_greeting() -> &'static [i16] {
    &GREETING
}

const fn samples(ms: usize) -> usize {
    ms * SAMPLE_RATE / 1000
}

fn tone(hertz: f32, ms: usize, audio: &mut Vec<i16>) {
    let (count, edge) = (samples(ms), samples(EDGE_MS));
    audio.extend((0..count).map(|n| {
        let swell = n.min(count - n).min(edge) as f32 / edge as f32;
        let phase = TAU * hertz * n as f32 / SAMPLE_RATE as f32;
        (LEVEL * swell * phase.sin()) as i16
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Energy of `audio` at `hertz` as a share of all its energy (Goertzel).
    fn share_at(hertz: f32, audio: &[i16]) -> f32 {
        let (mut re, mut im, mut all) = (0.0, 0.0, 0.0);
        for (n, sample) in audio.iter().enumerate() {
            let (value, phase) = (
                f32::from(*sample),
                TAU * hertz * n as f32 / SAMPLE_RATE as f32,
            );
            re += value * phase.cos();
            im += value * phase.sin();
            all += value * value;
        }
        2.0 * (re * re + im * im) / (all * audio.len() as f32)
    }

    #[test]
    fn the_greeting_lasts_three_seconds_and_ends_with_a_beep() {
        let audio = voicemail_greeting();
        let seconds = audio.len() as f32 / SAMPLE_RATE as f32;
        assert!((3.5..4.5).contains(&seconds), "{seconds} s");
        let beep = &audio[audio.len() - samples(BEEP_MS)..];
        assert!(share_at(BEEP_HZ, beep) > 0.9);
        assert!(share_at(BEEP_HZ, &audio[..samples(NOTE_MS)]) < 0.1);
    }
}
