//! The features of a frame of audio: whether it is sound, and the shape of its spectrum.

use std::collections::VecDeque;
use std::f32::consts::PI;
use std::sync::{Arc, OnceLock};

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// The number of mel-frequency cepstral coefficients of a frame.
const COEFFICIENTS: usize = 12;
/// The coefficients, and the loudness relative to the utterance.
pub(super) const DIMENSIONS: usize = COEFFICIENTS + 1;
/// The features of one frame.
pub(super) type Vector = [f32; DIMENSIONS];
/// 10 ms at 8 kHz.
const HOP: usize = 80;
/// 25 ms.
const WINDOW: usize = 200;
const FFT: usize = 256;
const BANDS: usize = 22;
const MIN_HZ: f32 = 200.0;
const MAX_HZ: f32 = 3600.0;
/// A quieter frame is never sound: -48 dB of full scale.
const FLOOR_DB: f32 = -48.0;
/// The level of sound above the noise of the line.
const ABOVE_NOISE_DB: f32 = 9.0;
/// The noise level is the upper bound of the quietest tenth of this many frames.
const NOISE_FRAMES: usize = 150;
const QUIET_SHARE: usize = 10;
/// Band energies are limited to this much below the loudest of the utterance, because noise carries
/// no information.
const DYNAMICS: f32 = 4.5;
/// The weights of the cepstrum and of the loudness in a distance.
const CEPSTRUM_WEIGHT: f32 = 0.25;
const LOUDNESS_WEIGHT: f32 = 0.5;

/// One frame of 10 ms.
pub(super) struct Frame {
    pub is_sound: bool,
    bands: [f32; BANDS],
}

/// Converts samples to frames.
pub(super) struct Analysis {
    pending: Vec<i16>,
    levels: VecDeque<f32>,
    sorted: Vec<f32>,
    plan: &'static Plan,
}

/// Tables shared by all analyses.
struct Plan {
    fft: Arc<dyn RealToComplex<f32>>,
    window: [f32; WINDOW],
    /// For each band: its first bin, and the weights from there.
    bands: Vec<(usize, Vec<f32>)>,
    cosines: [[f32; BANDS]; COEFFICIENTS],
}

impl Plan {
    fn get() -> &'static Plan {
        static PLAN: OnceLock<Plan> = OnceLock::new();
        PLAN.get_or_init(|| Plan {
            fft: RealFftPlanner::new().plan_fft_forward(FFT),
            window: std::array::from_fn(|n| {
                0.54 - 0.46 * (2.0 * PI * n as f32 / (WINDOW - 1) as f32).cos()
            }),
            bands: mel_bands(),
            cosines: std::array::from_fn(|c| {
                std::array::from_fn(|b| {
                    (PI * (c + 1) as f32 * (b as f32 + 0.5) / BANDS as f32).cos()
                })
            }),
        })
    }
}

fn mel(hz: f32) -> f32 {
    1127.0 * (1.0 + hz / 700.0).ln()
}

fn hz(mel: f32) -> f32 {
    700.0 * ((mel / 1127.0).exp() - 1.0)
}

/// Triangles evenly spaced on the mel scale.
fn mel_bands() -> Vec<(usize, Vec<f32>)> {
    let (low, high) = (mel(MIN_HZ), mel(MAX_HZ));
    let edge = |n: usize| hz(low + (high - low) * n as f32 / (BANDS + 1) as f32);
    let bin_hz = 8000.0 / FFT as f32;
    (0..BANDS)
        .map(|band| {
            let (left, middle, right) = (edge(band), edge(band + 1), edge(band + 2));
            let first = (left / bin_hz).ceil() as usize;
            let last = (right / bin_hz).floor() as usize;
            let weights = (first..=last)
                .map(|bin| {
                    let at = bin as f32 * bin_hz;
                    let rise = (at - left) / (middle - left);
                    let fall = (right - at) / (right - middle);
                    rise.min(fall).max(0.0)
                })
                .collect();
            (first, weights)
        })
        .collect()
}

impl Analysis {
    pub fn new() -> Self {
        Self {
            pending: Vec::new(),
            levels: VecDeque::with_capacity(NOISE_FRAMES),
            sorted: Vec::with_capacity(NOISE_FRAMES),
            plan: Plan::get(),
        }
    }

    /// Returns the frames that these samples complete.
    pub fn push(&mut self, samples: &[i16]) -> Vec<Frame> {
        self.pending.extend_from_slice(samples);
        let mut frames = Vec::with_capacity(samples.len() / HOP + 1);
        let mut at = 0;
        while at + WINDOW <= self.pending.len() {
            let window = self.pending[at..at + WINDOW].to_vec();
            frames.push(self.frame(&window));
            at += HOP;
        }
        self.pending.drain(..at);
        frames
    }

    /// Returns the frames of the remaining samples, followed by silence.
    pub fn finish(&mut self) -> Vec<Frame> {
        self.push(&[0; WINDOW])
    }

    fn frame(&mut self, samples: &[i16]) -> Frame {
        let level = level_db(samples);
        if self.levels.len() == NOISE_FRAMES {
            self.levels.pop_front();
        }
        self.levels.push_back(level);
        self.sorted.clear();
        self.sorted.extend(&self.levels);
        let quiet = self.sorted.len() / QUIET_SHARE;
        let (_, noise, _) = self.sorted.select_nth_unstable_by(quiet, f32::total_cmp);
        let noise = *noise;
        let is_sound = level > FLOOR_DB.max(noise + ABOVE_NOISE_DB);
        Frame { is_sound, bands: self.bands(samples) }
    }

    /// Returns the logarithm of each band's energy.
    fn bands(&self, samples: &[i16]) -> [f32; BANDS] {
        let mut windowed = [0.0; FFT];
        let mut previous = f32::from(samples[0]);
        for (n, sample) in samples.iter().enumerate() {
            let sample = f32::from(*sample);
            // Pre-emphasis amplifies the consonants.
            windowed[n] = (sample - 0.95 * previous) * self.plan.window[n];
            previous = sample;
        }
        let mut spectrum = [Complex::new(0.0, 0.0); FFT / 2 + 1];
        if self.plan.fft.process(&mut windowed, &mut spectrum).is_err() {
            return [0.0; BANDS];
        }
        let power = spectrum.map(|bin| bin.norm_sqr());
        std::array::from_fn(|band| {
            let (first, weights) = &self.plan.bands[band];
            let energy: f32 =
                weights.iter().zip(&power[*first..]).map(|(weight, power)| weight * power).sum();
            (energy + 1.0).ln()
        })
    }
}

/// Returns the level of a frame in dB of full scale.
fn level_db(samples: &[i16]) -> f32 {
    let energy: f32 = samples.iter().map(|s| f32::from(*s).powi(2)).sum();
    10.0 * (energy / samples.len() as f32 / 32_768.0_f32.powi(2) + 1e-10).log10()
}

/// Returns the features of each frame of a word, independent of the level of the line.
pub(super) fn vectors(frames: &[Frame]) -> Vec<Vector> {
    let plan = Plan::get();
    let bands = frames.iter().flat_map(|frame| frame.bands);
    let loudest = bands.fold(f32::NEG_INFINITY, f32::max);
    let vectors = frames.iter().map(|frame| {
        let bands = frame.bands.map(|band| band.max(loudest - DYNAMICS) - loudest);
        std::array::from_fn(|n| match plan.cosines.get(n) {
            Some(cosines) => {
                let sum: f32 = bands.iter().zip(cosines).map(|(b, cos)| b * cos).sum();
                sum * CEPSTRUM_WEIGHT
            }
            None => bands.iter().sum::<f32>() / BANDS as f32 * LOUDNESS_WEIGHT,
        })
    });
    vectors.collect()
}
