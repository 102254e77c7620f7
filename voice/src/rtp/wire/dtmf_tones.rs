//! Keys as sound: DTMF tone pairs in the audio itself (ITU-T Q.23, Q.24), for far ends that do not send
//! telephone-events.
//!
//! Blocks of 102 samples (12.75 ms) are looked at by the Goertzel algorithm. A key is a pair of tones
//! that holds nearly all of a block's energy, twice in a row.

use super::telephone_event::Key;

const RATE: f32 = 8000.0;
/// The loudest sine wave of G.711 (ITU-T G.711 §5).
const LOUDEST_DBM0: f32 = 3.17;
const BLOCK: usize = 102;
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const PAD: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];
/// The mean square of a block that is worth looking at: about −36 dBm0, of which each tone is half.
const LEAST_POWER: f32 = 1.3e5;
/// How much of a block's energy the two tones hold at least. Speech holds less.
const LEAST_SHARE: f32 = 0.72;
/// How much the stronger tone of a group is above each other one of it: 8 dB.
const ABOVE_OTHERS: f32 = 6.3;
/// The higher tone may be weaker by 8 dB, or stronger by 4 dB (Q.24).
const TWIST: f32 = 6.3;
const REVERSE_TWIST: f32 = 2.5;
/// Blocks in a row with the same pair that make a key, and without it that end one: a lost packet
/// within a tone takes two.
const HITS: u8 = 2;
const MISSES: u8 = 3;

/// Listens to one stream.
#[derive(Clone, Debug)]
pub struct ToneReader {
    /// For each tone the last two values of its filter.
    filters: [[f32; 2]; 8],
    energy: f32,
    samples: usize,
    candidate: Option<Key>,
    hits: u8,
    misses: u8,
    /// The key that is being pressed.
    pressed: Option<Key>,
}

impl Default for ToneReader {
    fn default() -> Self {
        ToneReader {
            filters: [[0.0; 2]; 8],
            energy: 0.0,
            samples: 0,
            candidate: None,
            hits: 0,
            misses: 0,
            pressed: None,
        }
    }
}

impl ToneReader {
    /// Takes samples, in frames of any length: the key, where a press has been recognised in them. A
    /// frame holds no two.
    pub fn take(&mut self, samples: &[i16]) -> Option<Key> {
        let squares = samples.iter().map(|s| f32::from(*s) * f32::from(*s));
        let is_quiet = squares.sum::<f32>() < LEAST_POWER / 4.0 * samples.len() as f32;
        if is_quiet && self.pressed.is_none() && self.hits == 0 {
            // Silence is most of what is heard, and costs nothing.
            *self = ToneReader::default();
            return None;
        }
        let mut key = None;
        for sample in samples {
            let sample = f32::from(*sample);
            self.energy += sample * sample;
            for (filter, coefficient) in self.filters.iter_mut().zip(COEFFICIENTS.get()) {
                let next = coefficient * filter[0] - filter[1] + sample;
                *filter = [next, filter[0]];
            }
            self.samples += 1;
            if self.samples == BLOCK {
                key = self.end_block().or(key);
            }
        }
        key
    }

    fn end_block(&mut self) -> Option<Key> {
        let found = self.pair();
        (self.filters, self.energy, self.samples) = ([[0.0; 2]; 8], 0.0, 0);
        if self.pressed.is_some() {
            self.misses = match found == self.pressed {
                true => 0,
                false => self.misses + 1,
            };
            if self.misses >= MISSES {
                self.pressed = None;
            }
        }
        self.hits = match found {
            Some(_) if found == self.candidate => self.hits.saturating_add(1),
            Some(_) => 1,
            None => 0,
        };
        self.candidate = found;
        let is_new = self.hits == HITS && self.pressed != found;
        if is_new {
            (self.pressed, self.misses) = (found, 0);
        }
        found.filter(|_| is_new)
    }

    /// The pair of tones that the block holds.
    fn pair(&self) -> Option<Key> {
        if self.energy < LEAST_POWER * BLOCK as f32 {
            return None;
        }
        let mut powers = [0.0; 8];
        for ((power, filter), coefficient) in
            powers.iter_mut().zip(&self.filters).zip(COEFFICIENTS.get())
        {
            *power =
                filter[0] * filter[0] + filter[1] * filter[1] - coefficient * filter[0] * filter[1];
        }
        let (row, low) = strongest(&powers[..4])?;
        let (column, high) = strongest(&powers[4..])?;
        let is_balanced = low < high * TWIST && high < low * REVERSE_TWIST;
        // A sine wave's power is its energy times half the block.
        let share = (low + high) / (self.energy * BLOCK as f32 / 2.0);
        (is_balanced && share >= LEAST_SHARE).then(|| Key::of_char(PAD[row][column]))?
    }
}

/// The strongest of a group, where it stands out.
fn strongest(powers: &[f32]) -> Option<(usize, f32)> {
    let (place, power) = powers
        .iter()
        .copied()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let mut others = (0..powers.len()).filter(|other| *other != place);
    others
        .all(|other| powers[other] * ABOVE_OTHERS < power)
        .then_some((place, power))
}

/// Twice the cosine of each tone's angle a sample.
struct Coefficients(std::sync::OnceLock<[f32; 8]>);

static COEFFICIENTS: Coefficients = Coefficients(std::sync::OnceLock::new());

impl Coefficients {
    fn get(&self) -> &[f32; 8] {
        self.0.get_or_init(|| {
            let tones = [ROWS, COLUMNS].concat();
            std::array::from_fn(|n| 2.0 * (std::f32::consts::TAU * tones[n] / RATE).cos())
        })
    }
}

/// A key's sound at so many dBm0 a tone, for tests and for the far end that plays keys.
pub fn tone(key: Key, milliseconds: u32, level_dbm0: f32) -> Vec<i16> {
    let place = |row: usize| PAD[row].iter().position(|known| *known == key.as_char());
    let at = (0..4).find_map(|row| place(row).map(|column| (row, column)));
    let Some((row, column)) = at else {
        return Vec::new();
    };
    // 32,124 is the loudest sample of G.711.
    let amplitude = 32_124.0 * 10_f32.powf((level_dbm0 - LOUDEST_DBM0) / 20.0);
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

    fn keys() -> impl Iterator<Item = Key> {
        (0..16).filter_map(Key::of_event)
    }

    fn heard(samples: &[i16]) -> Vec<char> {
        let mut reader = ToneReader::default();
        samples
            .chunks(160)
            .filter_map(|frame| reader.take(frame))
            .map(Key::as_char)
            .collect()
    }

    fn through(codec: Codec, samples: &[i16]) -> Vec<i16> {
        let coded = samples.iter().map(|s| codec.decode(codec.encode(*s)));
        coded.collect()
    }

    fn silence(milliseconds: u32) -> Vec<i16> {
        vec![0; milliseconds as usize * 8]
    }

    fn sine(frequency: f32, milliseconds: u32, amplitude: f32) -> Vec<i16> {
        let angle = |n: u32| std::f32::consts::TAU * frequency * n as f32 / RATE;
        (0..milliseconds * 8)
            .map(|n| (angle(n).sin() * amplitude) as i16)
            .collect()
    }

    #[test]
    fn every_key_is_heard_once_in_both_laws_at_all_usual_levels() {
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
                        assert_eq!(heard(&samples), [key.as_char(); 2], "{level} dBm0");
                    }
                }
            }
        }
    }

    #[test]
    fn a_held_key_is_one_press() {
        let samples = [tone(Key::of_char('7').unwrap(), 2000, -10.0), silence(100)].concat();
        assert_eq!(heard(&samples), ['7']);
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
            assert_eq!(heard(&noisy), [key.as_char()]);
        }
    }

    #[test]
    fn a_lost_frame_within_a_tone_does_not_double_it() {
        let key = Key::of_char('0').unwrap();
        let mut samples = tone(key, 120, -10.0);
        samples[320..480].fill(0);
        samples.extend(silence(60));
        assert_eq!(heard(&samples).len(), 1);
    }

    #[test]
    fn speech_noise_and_other_tones_are_no_keys() {
        let set = PromptSet::built_in();
        for language in [Language::Vi, Language::En] {
            for phrase in set.phrase_samples(language) {
                assert_eq!(
                    heard(&phrase),
                    Vec::<char>::new(),
                    "a phrase in {language:?}"
                );
            }
            for digit in 0..10 {
                for slow in [false, true] {
                    let spoken = set.digit_samples(language, digit, slow);
                    assert_eq!(
                        heard(&spoken),
                        Vec::<char>::new(),
                        "{digit} in {language:?}"
                    );
                }
            }
        }
        for frequency in [350.0, 425.0, 697.0, 941.0, 1000.0, 1209.0, 1400.0, 2100.0] {
            assert_eq!(
                heard(&sine(frequency, 1000, 8000.0)),
                Vec::<char>::new(),
                "{frequency} Hz"
            );
        }
        let dial: Vec<i16> = sine(350.0, 1000, 6000.0)
            .iter()
            .zip(sine(440.0, 1000, 6000.0))
            .map(|(a, b)| a + b)
            .collect();
        assert_eq!(heard(&dial), Vec::<char>::new());
        let mut random = StdRng::seed_from_u64(3);
        let noise: Vec<i16> = (0..80_000)
            .map(|_| random.random_range(-9000..=9000))
            .collect();
        assert_eq!(heard(&noise), Vec::<char>::new());
    }

    #[test]
    fn tones_that_are_off_by_more_than_telephones_are_is_no_key() {
        let off = |frequency: f32| sine(frequency * 1.06, 200, 6000.0);
        let samples: Vec<i16> = off(770.0)
            .iter()
            .zip(off(1336.0))
            .map(|(a, b)| a + b)
            .collect();
        assert_eq!(heard(&samples), Vec::<char>::new());
    }
}
