//! Detects and generates DTMF keys as tone pairs in the audio (ITU-T Q.23, Q.24), for far ends that
//! do not send telephone-events.
//!
//! Each block of 102 samples (12.75 ms) is analysed with the Goertzel algorithm. A key is a pair of
//! tones that holds nearly all of the energy of two consecutive blocks.

use std::sync::LazyLock;

use super::telephone_event::{DtmfKey, KeyChange};

const RATE: f32 = 8000.0;
/// The level of the loudest sine wave of G.711 (ITU-T G.711 §5).
const MAX_DBM0: f32 = 3.17;
const BLOCK: usize = 102;
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYPAD: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
/// The least mean square of a block that is analysed: about −36 dBm0, half of it for each tone.
const MIN_POWER: f32 = 1.3e5;
/// The least share of a block's energy in the two tones. Speech has less.
const MIN_SHARE: f32 = 0.72;
/// The stronger tone of a group exceeds each other one of it by at least 8 dB.
const MIN_RATIO_TO_OTHERS: f32 = 6.3;
/// The higher tone may be weaker by 8 dB, or stronger by 4 dB (Q.24).
const MAX_TWIST: f32 = 6.3;
const MAX_REVERSE_TWIST: f32 = 2.5;
/// Consecutive blocks with the same pair that start a key, and without it that end one. A packet
/// lost within a tone costs two blocks.
const MIN_HITS: u8 = 2;
const MIN_MISSES: u8 = 3;

/// Detects the keys of one stream.
#[derive(Clone, Debug)]
pub struct ToneDetector {
    /// The last value of each tone's filter, and the one before it. Separate arrays, so that one
    /// instruction advances several filters: this is the most expensive part of receiving.
    last: [f32; 8],
    before: [f32; 8],
    energy: f32,
    samples: usize,
    candidate: Option<DtmfKey>,
    hits: u8,
    misses: u8,
    /// The key that is currently pressed.
    pressed: Option<DtmfKey>,
}

impl Default for ToneDetector {
    fn default() -> Self {
        ToneDetector {
            last: [0.0; 8],
            before: [0.0; 8],
            energy: 0.0,
            samples: 0,
            candidate: None,
            hits: 0,
            misses: 0,
            pressed: None,
        }
    }
}

impl ToneDetector {
    /// Analyses samples, in frames of any length, and returns the press or release that they complete.
    /// A frame is too short to contain two presses; a release beside a press is not reported.
    pub fn detect(&mut self, samples: &[i16]) -> Option<KeyChange> {
        let squares = samples.iter().map(|s| f32::from(*s) * f32::from(*s));
        let is_quiet = squares.sum::<f32>() < MIN_POWER / 4.0 * samples.len() as f32;
        if is_quiet && self.pressed.is_none() && self.hits == 0 {
            // Most audio is silence; skip its analysis.
            *self = ToneDetector::default();
            return None;
        }
        let mut change = None;
        let mut left = samples;
        while !left.is_empty() {
            let (block, rest) = left.split_at(left.len().min(BLOCK - self.samples));
            left = rest;
            self.filter(block);
            if self.samples == BLOCK {
                let earlier = change.filter(|change: &KeyChange| change.pressed().is_some());
                change = earlier.or(self.end_block());
            }
        }
        change
    }

    /// Passes samples of one block through the filters.
    fn filter(&mut self, samples: &[i16]) {
        let coefficients = *COEFFICIENTS;
        let (mut last, mut before, mut energy) = (self.last, self.before, self.energy);
        for sample in samples {
            let sample = f32::from(*sample);
            energy += sample * sample;
            let next: [f32; 8] =
                std::array::from_fn(|n| coefficients[n] * last[n] + (sample - before[n]));
            (before, last) = (last, next);
        }
        (self.last, self.before, self.energy) = (last, before, energy);
        self.samples += samples.len();
    }

    fn end_block(&mut self) -> Option<KeyChange> {
        let found = self.pair();
        (self.last, self.before) = ([0.0; 8], [0.0; 8]);
        (self.energy, self.samples) = (0.0, 0);
        let mut released = None;
        if self.pressed.is_some() {
            self.misses = match found == self.pressed {
                true => 0,
                false => self.misses + 1,
            };
            if self.misses >= MIN_MISSES {
                released = self.pressed.take();
            }
        }
        self.hits = match found {
            Some(_) if found == self.candidate => self.hits.saturating_add(1),
            Some(_) => 1,
            None => 0,
        };
        self.candidate = found;
        let is_new = self.hits == MIN_HITS && self.pressed != found;
        if is_new {
            (self.pressed, self.misses) = (found, 0);
        }
        let pressed = found.filter(|_| is_new).map(KeyChange::Pressed);
        pressed.or(released.map(KeyChange::Released))
    }

    /// The key whose pair of tones the block contains.
    fn pair(&self) -> Option<DtmfKey> {
        if self.energy < MIN_POWER * BLOCK as f32 {
            return None;
        }
        let powers: [f32; 8] = std::array::from_fn(|n| {
            let (last, before) = (self.last[n], self.before[n]);
            last * last + before * before - COEFFICIENTS[n] * last * before
        });
        let (row, low) = strongest(&powers[..4])?;
        let (column, high) = strongest(&powers[4..])?;
        let is_balanced = low < high * MAX_TWIST && high < low * MAX_REVERSE_TWIST;
        // The filter power of a sine wave is its energy times half the block length.
        let share = (low + high) / (self.energy * BLOCK as f32 / 2.0);
        (is_balanced && share >= MIN_SHARE).then(|| DtmfKey::from_char(KEYPAD[row][column]))?
    }
}

/// The strongest tone of a group, if it stands out.
fn strongest(powers: &[f32]) -> Option<(usize, f32)> {
    let (place, power) = powers.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let mut others = (0..powers.len()).filter(|other| *other != place);
    others.all(|other| powers[other] * MIN_RATIO_TO_OTHERS < power).then_some((place, power))
}

/// Twice the cosine of each tone's angle per sample.
static COEFFICIENTS: LazyLock<[f32; 8]> = LazyLock::new(|| {
    let tones = [ROWS, COLUMNS].concat();
    std::array::from_fn(|n| 2.0 * (std::f32::consts::TAU * tones[n] / RATE).cos())
});

/// Generates the tone pair of a key at a level per tone in dBm0. Used by tests and the sandbox
/// carrier.
pub fn tone(key: DtmfKey, milliseconds: u32, level_dbm0: f32) -> Vec<i16> {
    let place = |row: usize| KEYPAD[row].iter().position(|known| *known == key.as_char());
    let at = (0..4).find_map(|row| place(row).map(|column| (row, column)));
    let Some((row, column)) = at else {
        return Vec::new();
    };
    // 32,124 is the largest sample of G.711.
    let amplitude = 32_124.0 * 10_f32.powf((level_dbm0 - MAX_DBM0) / 20.0);
    let angle = |frequency: f32, n: u32| std::f32::consts::TAU * frequency * n as f32 / RATE;
    (0..milliseconds * 8)
        .map(|n| {
            let sum = angle(ROWS[row], n).sin() + angle(COLUMNS[column], n).sin();
            (sum * amplitude) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::g711::Codec;
    use crate::speech::prompts::PromptSet;
    use nexo_domain::otp::Language;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn keys() -> impl Iterator<Item = DtmfKey> {
        (0..16).filter_map(DtmfKey::from_code)
    }

    fn detected(samples: &[i16]) -> Vec<char> {
        let mut detector = ToneDetector::default();
        samples
            .chunks(160)
            .filter_map(|frame| detector.detect(frame)?.pressed())
            .map(DtmfKey::as_char)
            .collect()
    }

    fn through(codec: Codec, samples: &[i16]) -> Vec<i16> {
        let coded = samples.iter().map(|s| codec.decode(codec.encode(*s)));
        coded.collect()
    }

    /// The request to press a key.
    fn announcement(language: Language) -> Vec<i16> {
        let script = PromptSet::built_in().press_key_script(language, Codec::Pcma);
        let pieces = script.pieces.iter();
        let bytes = pieces.flat_map(|piece| piece.audio.repeat(piece.repeat as usize));
        bytes.map(|byte| Codec::Pcma.decode(byte)).collect()
    }

    fn silence(milliseconds: u32) -> Vec<i16> {
        vec![0; milliseconds as usize * 8]
    }

    fn sine(frequency: f32, milliseconds: u32, amplitude: f32) -> Vec<i16> {
        let angle = |n: u32| std::f32::consts::TAU * frequency * n as f32 / RATE;
        (0..milliseconds * 8).map(|n| (angle(n).sin() * amplitude) as i16).collect()
    }

    #[test]
    fn every_key_is_detected_once_in_both_laws_at_all_usual_levels() {
        for codec in Codec::ALL {
            for level in [-3.0, -10.0, -20.0, -28.0] {
                for key in keys() {
                    for offset in [0, 3, 7, 11] {
                        let mut samples = silence(offset);
                        samples.extend(tone(key, 80, level));
                        samples.extend(silence(60));
                        samples.extend(tone(key, 45, level));
                        samples.extend(silence(60));
                        let samples = through(codec, &samples);
                        assert_eq!(detected(&samples), [key.as_char(); 2], "{level} dBm0");
                    }
                }
            }
        }
    }

    #[test]
    fn a_held_key_is_one_press_and_one_release() {
        let key = DtmfKey::from_char('7').unwrap();
        let samples = [tone(key, 2000, -10.0), silence(100)].concat();
        let mut detector = ToneDetector::default();
        let frames = samples.chunks(160).enumerate();
        let changes: Vec<(usize, KeyChange)> = frames
            .filter_map(|(n, frame)| detector.detect(frame).map(|change| (n, change)))
            .collect();
        let [(begin, KeyChange::Pressed(_)), (end, KeyChange::Released(_))] = changes[..] else {
            panic!("{changes:?}");
        };
        assert!(begin <= 1 && (100..=102).contains(&end), "{changes:?}");
    }

    #[test]
    fn our_announcements_that_a_far_end_echoes_are_not_keys() {
        let mut random = StdRng::seed_from_u64(5);
        for language in [Language::Vi, Language::En] {
            let voice = announcement(language);
            for (delay_ms, gain) in [(0, 1.0), (30, 0.7), (120, 0.5), (250, 0.25)] {
                // Two echoes and the noise of a room.
                let echo = |n: usize, delay: usize| {
                    let sample = n.checked_sub(delay * 8).map_or(0, |at| voice[at]);
                    f32::from(sample) * gain
                };
                let heard: Vec<i16> = (0..voice.len())
                    .map(|n| {
                        let noise: f32 = random.random_range(-200.0..=200.0);
                        (echo(n, delay_ms) + 0.5 * echo(n, delay_ms + 37) + noise) as i16
                    })
                    .collect();
                let heard = through(Codec::Pcmu, &heard);
                assert_eq!(detected(&heard), Vec::<char>::new(), "{language:?}, {delay_ms} ms");
            }
        }
    }

    #[test]
    fn a_key_is_detected_while_our_announcement_echoes() {
        let voice = announcement(Language::Vi);
        for key in keys() {
            let mut heard: Vec<i16> = voice[8000..12_000].iter().map(|sample| sample / 8).collect();
            for (sample, tone) in heard[1000..].iter_mut().zip(tone(key, 100, -8.0)) {
                *sample = sample.saturating_add(tone);
            }
            assert_eq!(detected(&heard), [key.as_char()]);
        }
    }

    #[test]
    fn noise_at_20_db_below_does_not_hide_a_key() {
        let mut random = StdRng::seed_from_u64(7);
        for key in keys() {
            let clean = [silence(50), tone(key, 70, -10.0), silence(50)].concat();
            let noisy: Vec<i16> = clean
                .iter()
                .map(|sample| sample.saturating_add(random.random_range(-1000..=1000)))
                .collect();
            assert_eq!(detected(&noisy), [key.as_char()]);
        }
    }

    #[test]
    fn a_lost_frame_within_a_tone_does_not_duplicate_the_key() {
        let key = DtmfKey::from_char('0').unwrap();
        let mut samples = tone(key, 120, -10.0);
        samples[320..480].fill(0);
        samples.extend(silence(60));
        assert_eq!(detected(&samples).len(), 1);
    }

    #[test]
    fn speech_noise_and_other_tones_are_not_keys() {
        let set = PromptSet::built_in();
        for language in [Language::Vi, Language::En] {
            for phrase in set.phrase_samples(language) {
                assert_eq!(detected(&phrase), Vec::<char>::new(), "a phrase in {language:?}");
            }
            for digit in 0..10 {
                for slow in [false, true] {
                    let spoken = set.digit_samples(language, digit, slow);
                    assert_eq!(detected(&spoken), Vec::<char>::new(), "{digit} in {language:?}");
                }
            }
        }
        for frequency in [350.0, 425.0, 697.0, 941.0, 1000.0, 1209.0, 1400.0, 2100.0] {
            assert_eq!(
                detected(&sine(frequency, 1000, 8000.0)),
                Vec::<char>::new(),
                "{frequency} Hz"
            );
        }
        let dial: Vec<i16> = sine(350.0, 1000, 6000.0)
            .iter()
            .zip(sine(440.0, 1000, 6000.0))
            .map(|(a, b)| a + b)
            .collect();
        assert_eq!(detected(&dial), Vec::<char>::new());
        let mut random = StdRng::seed_from_u64(3);
        let noise: Vec<i16> = (0..80_000).map(|_| random.random_range(-9000..=9000)).collect();
        assert_eq!(detected(&noise), Vec::<char>::new());
    }

    #[test]
    fn tones_off_by_more_than_the_tolerance_of_telephones_are_not_keys() {
        let off = |frequency: f32| sine(frequency * 1.06, 200, 6000.0);
        let samples: Vec<i16> = off(770.0).iter().zip(off(1336.0)).map(|(a, b)| a + b).collect();
        assert_eq!(detected(&samples), Vec::<char>::new());
    }
}
