//! Recognises spoken digits in received audio.
//!
//! Audio is split into utterances at pauses. An utterance is described by the sequence of its
//! spectra and compared with each known word by dynamic time warping. An utterance unlike all of
//! them is not a digit. The recogniser knows the voice of the prompts, but neither the code nor the
//! language nor where words begin.

use std::cmp::Reverse;
use std::sync::Arc;

mod features;
mod utterance;
mod vocabulary;
mod warping;
mod word;

use features::Analysis;
use utterance::{Segment, Segmenter};
pub(super) use vocabulary::Vocabulary;
pub use word::Word;

/// Stands in a reading for a word that was not recognised.
const UNRECOGNISED: char = '?';

/// What was recognised. Deliberately without `Debug`: it spells the code.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Recognition {
    /// The digits between two phrases, one string per reading.
    pub readings: Vec<String>,
    /// The reading with the most digits, then the fewest unrecognised words, then the first; empty
    /// if no digit was recognised. An unrecognised word is `?`.
    pub digits: String,
}

/// Recognises the digits of one call.
pub struct Recogniser {
    vocabulary: Arc<Vocabulary>,
    analysis: Analysis,
    segmenter: Segmenter,
    readings: Vec<String>,
    reading: String,
}

impl Default for Recogniser {
    fn default() -> Self {
        Self::with_vocabulary(Vocabulary::built_in())
    }
}

impl Recogniser {
    /// Creates a recogniser for the built-in prompts.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn with_vocabulary(vocabulary: Arc<Vocabulary>) -> Self {
        Self {
            vocabulary,
            analysis: Analysis::new(),
            segmenter: Segmenter::default(),
            readings: Vec::new(),
            reading: String::new(),
        }
    }

    /// Analyses samples at 8 kHz and returns the words that ended in them.
    pub fn push(&mut self, samples: &[i16]) -> Vec<Word> {
        let mut words = Vec::new();
        for frame in self.analysis.push(samples) {
            if let Some(segment) = self.segmenter.push(frame) {
                words.append(&mut self.recognise(segment));
            }
        }
        words
    }

    /// Ends the call and returns what was recognised.
    pub fn finish(mut self) -> Recognition {
        for frame in self.analysis.finish() {
            if let Some(segment) = self.segmenter.push(frame) {
                self.recognise(segment);
            }
        }
        if let Some(segment) = self.segmenter.finish() {
            self.recognise(segment);
        }
        self.end_reading();
        let digits = best_reading(&self.readings);
        Recognition { readings: self.readings, digits }
    }

    fn recognise(&mut self, segment: Segment) -> Vec<Word> {
        let words = match segment {
            Segment::Utterance(utterance) => self.vocabulary.recognise(&utterance),
            Segment::Continuous => vec![Word::Phrase],
        };
        for word in &words {
            match word {
                Word::Digit(digit) => self.reading.push(char::from(b'0' + digit)),
                Word::Phrase => self.end_reading(),
                // A gap in the reading: the next word is not the next digit of the code.
                Word::Unknown => self.reading.push(UNRECOGNISED),
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

/// Returns the reading with the most digits, then the fewest unrecognised words, then the first.
fn best_reading(readings: &[String]) -> String {
    let digit_count = |reading: &String| reading.bytes().filter(u8::is_ascii_digit).count();
    let rank = |reading: &&String| (digit_count(reading), Reverse(reading.len()));
    // `max_by_key` returns the last of equal elements.
    readings.iter().rev().max_by_key(rank).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests;
