//! Converts a recording to the format of the built-in prompts: 8 kHz, 280 to 3400 Hz, trimmed at
//! both ends, of one loudness, whole frames.

use std::f32::consts::{PI, SQRT_2, TAU};

use thiserror::Error;

use crate::audio::wav::SAMPLE_RATE;
use crate::rtp::wire::dtmf_tones::ToneDetector;
use crate::speech::prompts::FRAME;

/// The frequency band of a telephone, in Hz.
const LOW: f32 = 280.0;
const HIGH: f32 = 3_400.0;
/// Zero crossings of the resampler's window on each side.
const CROSSINGS: f32 = 24.0;
/// Speech is louder than this fraction of the recording's peak.
const SPEECH: f32 = 0.008;
/// A recording whose peak is below this fraction of full scale is silent.
const SILENCE: f32 = 0.003;
/// Loudness is measured in pieces of 5 ms.
const PIECE: usize = SAMPLE_RATE as usize / 200;
/// Samples kept before the first and after the last loud piece.
const MARGIN: usize = 2 * PIECE;
/// The loudness of every prompt: an RMS level of -18.5 dB, with peaks at -3 dB at most.
const LOUDNESS: f32 = 0.118_85;
const PEAK: f32 = 0.707_9;
/// Samples above this level are compressed instead of clipped.
const KNEE: f32 = 0.5;
/// How often the level is corrected, because compressed peaks reduce the loudness.
const LEVEL_PASSES: usize = 3;
const FADE_IN: usize = SAMPLE_RATE as usize * 4 / 1000;
const FADE_OUT: usize = SAMPLE_RATE as usize * 8 / 1000;

/// The kind of a prompt, which determines the allowed length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PromptKind {
    Digit,
    Phrase,
}

impl PromptKind {
    /// The minimum and maximum length in ms, after trimming.
    fn lengths(self) -> (u32, u32) {
        match self {
            PromptKind::Digit => (100, 1_500),
            PromptKind::Phrase => (200, 10_000),
        }
    }
}

/// What is wrong with a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Flaw {
    #[error("has {0} channels; allowed: 1 or 2")]
    Channels(u16),
    #[error("has {0} samples per second; allowed: 8000 to 192000")]
    Rate(u32),
    #[error("holds samples that are not finite numbers: export it again")]
    NotFinite,
    #[error("is silent")]
    Silent,
    #[error(
        "is too short: {millis} ms without the silence at its ends; at least {min} ms are required"
    )]
    TooShort { millis: u32, min: u32 },
    #[error("is too long: {millis} ms; at most {max} ms are allowed")]
    TooLong { millis: u32, max: u32 },
    #[error(
        "contains the tone of a telephone key, whose echo would count as a key: remove the tone"
    )]
    KeyTone,
}

/// Converts a recording to whole frames at 8 kHz.
pub(super) fn prepare(samples: &[f32], rate: u32, kind: PromptKind) -> Result<Vec<i16>, Flaw> {
    let mut voice = high_passed(&resampled(samples, rate));
    voice = trimmed(&voice)?.to_vec();
    let millis = (voice.len() * 1000 / SAMPLE_RATE as usize) as u32;
    let (min, max) = kind.lengths();
    if millis < min {
        return Err(Flaw::TooShort { millis, min });
    }
    if millis > max {
        return Err(Flaw::TooLong { millis, max });
    }
    level(&mut voice);
    fade(&mut voice);
    voice.resize(voice.len().next_multiple_of(FRAME), 0.0);
    let full = f32::from(i16::MAX);
    let samples: Vec<i16> = voice.iter().map(|s| (s * full).round() as i16).collect();
    let mut tones = ToneDetector::default();
    match samples.chunks(FRAME).any(|frame| tones.detect(frame).is_some()) {
        true => Err(Flaw::KeyTone),
        false => Ok(samples),
    }
}

/// Resamples to 8 kHz and removes frequencies above the band, with a windowed sinc (Blackman).
fn resampled(samples: &[f32], rate: u32) -> Vec<f32> {
    let step = rate as f32 / SAMPLE_RATE as f32;
    // Twice the cut-off frequency in cycles per sample.
    let cut = 2.0 * HIGH / rate as f32;
    let half = CROSSINGS / cut;
    let length = (samples.len() as f32 / step) as usize;
    let output = (0..length).map(|n| {
        // In double precision, because a minute at 192 kHz has more samples than f32 has exact
        // integers.
        let at = n as f64 * f64::from(step);
        let first = (at - f64::from(half)).ceil().max(0.0) as usize;
        let last = ((at + f64::from(half)) as usize).min(samples.len().saturating_sub(1));
        let around = samples.iter().enumerate().take(last + 1).skip(first);
        let sum: f32 = around
            .map(|(place, sample)| {
                let x = (place as f64 - at) as f32;
                sample * cut * sinc(cut * x) * blackman(x / half)
            })
            .sum();
        sum
    });
    output.collect()
}

fn sinc(x: f32) -> f32 {
    match x.abs() < 1e-6 {
        true => 1.0,
        false => (PI * x).sin() / (PI * x),
    }
}

/// The window over -1 to 1, with its maximum 1 at 0.
fn blackman(x: f32) -> f32 {
    0.42 + 0.5 * (PI * x).cos() + 0.08 * (TAU * x).cos()
}

/// Removes frequencies below the band with a second-order Butterworth filter.
fn high_passed(samples: &[f32]) -> Vec<f32> {
    let k = (PI * LOW / SAMPLE_RATE as f32).tan();
    let norm = 1.0 / (1.0 + SQRT_2 * k + k * k);
    let (a1, a2) = (2.0 * (k * k - 1.0) * norm, (1.0 - SQRT_2 * k + k * k) * norm);
    let (mut z1, mut z2) = (0.0, 0.0);
    let filter = |x: &f32| {
        let y = norm * x + z1;
        z1 = -2.0 * norm * x - a1 * y + z2;
        z2 = norm * x - a2 * y;
        y
    };
    samples.iter().map(filter).collect()
}

/// Removes the silence at both ends.
fn trimmed(samples: &[f32]) -> Result<&[f32], Flaw> {
    let peak = samples.iter().fold(0.0, |peak: f32, s| peak.max(s.abs()));
    if peak < SILENCE {
        return Err(Flaw::Silent);
    }
    let loud = |piece: &[f32]| rms(piece) > peak * SPEECH;
    let mut pieces = samples.chunks(PIECE);
    let first = pieces.position(loud).ok_or(Flaw::Silent)? * PIECE;
    let last = samples.chunks(PIECE).rposition(loud).unwrap_or(0) * PIECE + PIECE;
    let start = first.saturating_sub(MARGIN);
    let end = (last + MARGIN).min(samples.len());
    Ok(&samples[start..end])
}

fn rms(samples: &[f32]) -> f32 {
    let power: f32 = samples.iter().map(|s| s * s).sum();
    (power / samples.len().max(1) as f32).sqrt()
}

/// Sets the loudness, and compresses peaks that would be too high.
fn level(samples: &mut [f32]) {
    for _ in 0..LEVEL_PASSES {
        let gain = LOUDNESS / rms(samples).max(f32::MIN_POSITIVE);
        for sample in samples.iter_mut() {
            *sample = compress(*sample * gain);
        }
    }
}

fn compress(sample: f32) -> f32 {
    let (magnitude, headroom) = (sample.abs(), PEAK - KNEE);
    match magnitude <= KNEE {
        true => sample,
        false => (KNEE + headroom * ((magnitude - KNEE) / headroom).tanh()).copysign(sample),
    }
}

/// Fades in and out, to avoid clicks.
fn fade(samples: &mut [f32]) {
    let length = samples.len();
    for (n, sample) in samples.iter_mut().enumerate() {
        let fade_in = ((n + 1) as f32 / FADE_IN as f32).min(1.0);
        let fade_out = ((length - n) as f32 / FADE_OUT as f32).min(1.0);
        *sample *= fade_in * fade_out;
    }
}
