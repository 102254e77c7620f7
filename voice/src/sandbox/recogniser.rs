//! Recognises spoken digits in received audio: a callee who knows the voice and nothing else.
//!
//! Sound is cut into utterances where it pauses; an utterance is described by how its spectrum
//! moves and compared with each known word by dynamic time warping. What is like none of them is
//! not heard as a digit. Neither the code, nor the language, nor where words begin is known to it.

use std::sync::OnceLock;

use nexo_domain::otp::Language;

use crate::prompts::PromptSet;

mod features;
mod warping;

use features::{Analysis, Frame};
use warping::distance;

/// A pause so long ends an utterance. The codes are spoken with longer ones.
const PAUSE_FRAMES: usize = 14;
/// Shorter sounds are clicks.
const SHORTEST_FRAMES: usize = 12;
/// Longer ones are phrases, cut off there so that memory stays bounded.
const LONGEST_FRAMES: usize = 400;
/// Digits take no longer than this.
const LONGEST_DIGIT_FRAMES: usize = 95;
/// Beyond this distance a sound is no known word.
const FARTHEST: f32 = 2.5;
/// Another digit must be so much farther away than the nearest.
const CLEARLY: f32 = 1.06;

/// One recognised utterance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// 0–9.
    Digit(u8),
    /// A part of the greeting, of "again" or of the goodbye, or any other long speech.
    Phrase,
    /// A sound that is no known word.
    Unknown,
}

impl Word {
    pub fn digit(self) -> Option<u8> {
        match self {
            Word::Digit(digit) => Some(digit),
            Word::Phrase | Word::Unknown => None,
        }
    }
}

/// What was understood. Deliberately without `Debug`: it spells the code.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// The digits between two phrases, each reading apart.
    pub readings: Vec<String>,
    /// The longest reading, the first of several; empty where no digit was heard.
    pub digits: String,
}

/// Listens to one call.
pub struct Recogniser {
    analysis: Analysis,
    utterance: Vec<Frame>,
    pause: usize,
    readings: Vec<String>,
    reading: String,
}

impl Default for Recogniser {
    fn default() -> Self {
        Self::new()
    }
}

impl Recogniser {
    pub fn new() -> Self {
        Self {
            analysis: Analysis::new(),
            utterance: Vec::new(),
            pause: 0,
            readings: Vec::new(),
            reading: String::new(),
        }
    }

    /// Listens to samples at 8 kHz; gives the utterances that ended in them.
    pub fn push(&mut self, samples: &[i16]) -> Vec<Word> {
        let mut words = Vec::new();
        for frame in self.analysis.push(samples) {
            words.extend(self.take(frame));
        }
        words
    }

    /// Ends the call.
    pub fn finish(mut self) -> Heard {
        for frame in self.analysis.finish() {
            self.take(frame);
        }
        self.end_utterance();
        self.end_reading();
        let mut digits = String::new();
        for reading in &self.readings {
            if reading.len() > digits.len() {
                digits.clone_from(reading);
            }
        }
        Heard {
            readings: self.readings,
            digits,
        }
    }

    fn take(&mut self, frame: Frame) -> Option<Word> {
        if frame.is_sound {
            self.pause = 0;
        } else if !self.utterance.is_empty() {
            self.pause += 1;
        } else {
            return None;
        }
        self.utterance.push(frame);
        let ends = self.pause >= PAUSE_FRAMES || self.utterance.len() >= LONGEST_FRAMES;
        ends.then(|| self.end_utterance()).flatten()
    }

    fn end_utterance(&mut self) -> Option<Word> {
        let mut utterance = std::mem::take(&mut self.utterance);
        utterance.truncate(utterance.len() - self.pause);
        self.pause = 0;
        if utterance.len() < SHORTEST_FRAMES {
            return None;
        }
        let word = Vocabulary::known().recognise(&utterance);
        match word {
            Word::Digit(digit) => self.reading.push(char::from(b'0' + digit)),
            Word::Phrase => self.end_reading(),
            // A hole in the reading: what comes after it is not the code's next digit.
            Word::Unknown => self.reading.push('?'),
        }
        Some(word)
    }

    fn end_reading(&mut self) {
        let reading = std::mem::take(&mut self.reading);
        if reading.bytes().any(|b| b.is_ascii_digit()) {
            self.readings.push(reading);
        }
    }
}

/// A known sound.
struct Template {
    word: Word,
    frames: Vec<[f32; features::COEFFICIENTS]>,
}

/// Everything that can be recognised.
struct Vocabulary {
    templates: Vec<Template>,
}

impl Vocabulary {
    /// The words of the built-in prompts, analysed once.
    fn known() -> &'static Vocabulary {
        static KNOWN: OnceLock<Vocabulary> = OnceLock::new();
        KNOWN.get_or_init(Vocabulary::learn)
    }

    fn learn() -> Vocabulary {
        let prompts = PromptSet::built_in();
        let mut templates = Vec::new();
        for language in [Language::Vi, Language::En] {
            for digit in 0..10 {
                for slow in [false, true] {
                    let samples = prompts.digit_samples(language, digit, slow);
                    templates.extend(sounds(&samples).map(|frames| Template {
                        word: Word::Digit(digit),
                        frames,
                    }));
                }
            }
            for phrase in prompts.phrase_samples(language) {
                templates.extend(sounds(&phrase).map(|frames| Template {
                    word: Word::Phrase,
                    frames,
                }));
            }
        }
        Vocabulary { templates }
    }

    fn recognise(&self, utterance: &[Frame]) -> Word {
        if utterance.len() > LONGEST_DIGIT_FRAMES {
            return Word::Phrase;
        }
        let spoken = features::normalised(utterance);
        let mut best = (f32::INFINITY, Word::Unknown);
        let mut best_of = [f32::INFINITY; 11];
        for template in &self.templates {
            let far = distance(&spoken, &template.frames, FARTHEST * 1.5);
            if far < best.0 {
                best = (far, template.word);
            }
            let place = template.word.digit().map_or(10, usize::from);
            best_of[place] = best_of[place].min(far);
        }
        let runner_up = (0..best_of.len())
            .filter(|place| Some(*place) != Some(best.1.digit().map_or(10, usize::from)))
            .map(|place| best_of[place])
            .fold(f32::INFINITY, f32::min);
        match best {
            (far, word) if far < FARTHEST && runner_up > far * CLEARLY => word,
            _ => Word::Unknown,
        }
    }
}

/// The utterances of a prompt, as a listener would cut them.
fn sounds(samples: &[i16]) -> impl Iterator<Item = Vec<[f32; features::COEFFICIENTS]>> {
    let mut analysis = Analysis::new();
    // Silence around the word, as it has in a call.
    let mut padded = vec![0; 1600];
    padded.extend_from_slice(samples);
    padded.extend_from_slice(&[0; 1600]);
    let mut frames = analysis.push(&padded);
    frames.extend(analysis.finish());
    let mut sounds = Vec::new();
    let mut sound: Vec<Frame> = Vec::new();
    let mut pause = 0;
    for frame in frames {
        match frame.is_sound {
            true => pause = 0,
            false => pause += 1,
        }
        if frame.is_sound || !sound.is_empty() {
            sound.push(frame);
        }
        if pause >= PAUSE_FRAMES && !sound.is_empty() {
            sound.truncate(sound.len() - pause);
            sounds.push(std::mem::take(&mut sound));
        }
    }
    sounds
        .into_iter()
        .filter(|sound| sound.len() >= SHORTEST_FRAMES)
        .map(|sound| features::normalised(&sound))
}

#[cfg(test)]
mod tests;
