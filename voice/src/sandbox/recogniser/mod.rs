//! Recognises spoken digits in received audio: a callee who knows the voice and nothing else.
//!
//! Sound is cut into utterances where it pauses; an utterance is described by how its spectrum
//! moves and compared with each known word by dynamic time warping. What is like none of them is
//! not heard as a digit. Neither the code, nor the language, nor where words begin is known to it.

use std::cmp::Reverse;
use std::sync::Arc;

mod features;
mod utterance;
mod vocabulary;
mod warping;

use features::Analysis;
use utterance::{Cut, Cutter};
pub(super) use vocabulary::Vocabulary;

/// Stands in a reading for a word that was not understood.
const NOT_UNDERSTOOD: char = '?';

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
    /// The reading with the most digits, of these the one with the fewest holes, of these the first;
    /// empty where no digit was heard. A word that was not understood stands as `?`.
    pub digits: String,
}

/// Listens to one call.
pub struct Recogniser {
    vocabulary: Arc<Vocabulary>,
    analysis: Analysis,
    cutter: Cutter,
    readings: Vec<String>,
    reading: String,
}

impl Default for Recogniser {
    fn default() -> Self {
        Self::knowing(Vocabulary::built_in())
    }
}

impl Recogniser {
    /// One that knows the built-in voice.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn knowing(vocabulary: Arc<Vocabulary>) -> Self {
        Self {
            vocabulary,
            analysis: Analysis::new(),
            cutter: Cutter::default(),
            readings: Vec::new(),
            reading: String::new(),
        }
    }

    /// Listens to samples at 8 kHz; gives the words that ended in them.
    pub fn push(&mut self, samples: &[i16]) -> Vec<Word> {
        let mut words = Vec::new();
        for frame in self.analysis.push(samples) {
            if let Some(cut) = self.cutter.push(frame) {
                words.append(&mut self.understand(cut));
            }
        }
        words
    }

    /// Ends the call.
    pub fn finish(mut self) -> Heard {
        for frame in self.analysis.finish() {
            if let Some(cut) = self.cutter.push(frame) {
                self.understand(cut);
            }
        }
        if let Some(cut) = self.cutter.finish() {
            self.understand(cut);
        }
        self.end_reading();
        let digits = best_reading(&self.readings);
        Heard {
            readings: self.readings,
            digits,
        }
    }

    fn understand(&mut self, cut: Cut) -> Vec<Word> {
        let words = match cut {
            Cut::Utterance(utterance) => self.vocabulary.recognise(&utterance),
            Cut::Drone => vec![Word::Phrase],
        };
        for word in &words {
            match word {
                Word::Digit(digit) => self.reading.push(char::from(b'0' + digit)),
                Word::Phrase => self.end_reading(),
                // A hole in the reading: what comes after it is not the code's next digit.
                Word::Unknown => self.reading.push(NOT_UNDERSTOOD),
            }
        }
        words
    }

    fn end_reading(&mut self) {
        let reading = std::mem::take(&mut self.reading);
        if reading.bytes().any(|b| b.is_ascii_digit()) {
            self.readings.push(reading);
        }
    }
}

/// The reading with the most digits, the fewest holes, and the first of several.
fn best_reading(readings: &[String]) -> String {
    let understood = |reading: &String| reading.bytes().filter(u8::is_ascii_digit).count();
    let worth = |reading: &&String| (understood(reading), Reverse(reading.len()));
    // `max_by_key` gives the last of equals.
    readings
        .iter()
        .rev()
        .max_by_key(worth)
        .cloned()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
