//! The words that can be recognised, and which of them an utterance is made of.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use nexo_domain::otp::Language;

use super::Word;
use super::features::{Analysis, Vector, vectors};
use super::utterance::{Cut, Cutter, Utterance};
use super::warping::distance;
use crate::speech::prompts::PromptSet;

/// A word is so far from a known one at most, on a mean of its frames.
const FARTHEST: f32 = 0.5;
/// The next nearest word must be so much farther away than the nearest.
const CLEARLY: f32 = 1.1;
/// A digit has no longer pause in it: the closure of a stop, or lost packets.
const LONGEST_PAUSE_IN_DIGIT: usize = 12;
/// A digit takes no longer, the quiet around it included.
const LONGEST_DIGIT: usize = 110;
/// Nor does it take less.
const SHORTEST_DIGIT: usize = 18;

/// A known sound.
struct Template {
    word: Word,
    vectors: Vec<Vector>,
}

/// Everything that can be recognised.
pub(in crate::sandbox) struct Vocabulary {
    templates: Vec<Template>,
}

impl Vocabulary {
    /// The words of the built-in prompts, analysed once.
    pub fn built_in() -> Arc<Vocabulary> {
        static KNOWN: OnceLock<Arc<Vocabulary>> = OnceLock::new();
        let learn = || Arc::new(Vocabulary::of(PromptSet::built_in()));
        Arc::clone(KNOWN.get_or_init(learn))
    }

    /// The words of these prompts.
    pub fn of(prompts: &PromptSet) -> Vocabulary {
        let mut templates = Vec::new();
        for language in [Language::Vi, Language::En] {
            for (digit, slow) in (0..10).flat_map(|d| [(d, false), (d, true)]) {
                let samples = prompts.digit_samples(language, digit, slow);
                learn_from(&samples, Word::Digit(digit), &mut templates);
            }
            for phrase in prompts.phrase_samples(language) {
                learn_from(&phrase, Word::Phrase, &mut templates);
            }
        }
        Vocabulary { templates }
    }

    /// The words that an utterance is made of, so that they fit it best together.
    pub(super) fn recognise(&self, utterance: &Utterance) -> Vec<Word> {
        // For each number of sounds from the first: the lowest cost of words for them, and the last of these.
        let mut fits = vec![(0.0, 0, Word::Unknown)];
        for end in 1..=utterance.sounds.len() {
            let unknown = utterance.sounds[end - 1].len() as f32 * FARTHEST;
            let mut best = (fits[end - 1].0 + unknown, end - 1, Word::Unknown);
            for start in (0..end).rev() {
                let Some((word, cost)) = self.nearest(utterance, start..end) else {
                    continue;
                };
                let cost = fits[start].0 + cost;
                if cost < best.0 {
                    best = (cost, start, word);
                }
            }
            fits.push(best);
        }
        let mut words = Vec::new();
        let mut end = utterance.sounds.len();
        while end > 0 {
            let (_, start, word) = fits[end];
            words.push((word, start..end));
            end = start;
        }
        words.reverse();
        merged(words, utterance)
    }

    /// The word that these sounds are, if any, and how badly they fit it.
    fn nearest(&self, utterance: &Utterance, sounds: Range<usize>) -> Option<(Word, f32)> {
        let frames = utterance.span(sounds.clone());
        let may_be_digit = (SHORTEST_DIGIT..=LONGEST_DIGIT).contains(&frames.len())
            && utterance.longest_pause(sounds.clone()) <= LONGEST_PAUSE_IN_DIGIT;
        let spoken = vectors(frames);
        let mut nearest = [f32::INFINITY; 11];
        for template in &self.templates {
            if !may_be_digit && template.word != Word::Phrase {
                continue;
            }
            let place = template.word.digit().map_or(10, usize::from);
            let limit = nearest[place].min(FARTHEST * CLEARLY);
            let far = distance(&spoken, &template.vectors, limit);
            nearest[place] = nearest[place].min(far);
        }
        let place = (0..nearest.len()).min_by(|a, b| nearest[*a].total_cmp(&nearest[*b]))?;
        let far = nearest[place];
        let clear = (0..nearest.len()).all(|p| p == place || nearest[p] >= far * CLEARLY);
        let word = match place {
            10 => Word::Phrase,
            digit => Word::Digit(digit as u8),
        };
        let length = utterance.sounds[sounds.end - 1].end - utterance.sounds[sounds.start].start;
        (far < FARTHEST && clear).then_some((word, far * length as f32))
    }
}

/// Takes neighbouring unknown sounds for one; a long one is a phrase.
fn merged(words: Vec<(Word, Range<usize>)>, utterance: &Utterance) -> Vec<Word> {
    let mut merged: Vec<(Word, Range<usize>)> = Vec::new();
    for (word, sounds) in words {
        match merged.last_mut() {
            Some((Word::Unknown, before)) if word == Word::Unknown => before.end = sounds.end,
            _ => merged.push((word, sounds)),
        }
    }
    let long = |sounds: Range<usize>| utterance.span(sounds).len() > LONGEST_DIGIT;
    let words = merged.into_iter().map(|(word, sounds)| match word {
        Word::Unknown if long(sounds) => Word::Phrase,
        word => word,
    });
    words.collect()
}

/// Learns the utterances of a prompt, cut as they are cut in a call.
fn learn_from(samples: &[i16], word: Word, templates: &mut Vec<Template>) {
    let mut analysis = Analysis::new();
    let mut cutter = Cutter::default();
    let mut learn = |cut: Option<Cut>| {
        if let Some(Cut::Utterance(utterance)) = cut {
            templates.push(Template {
                word,
                vectors: vectors(utterance.span(0..utterance.sounds.len())),
            });
        }
    };
    for part in [&[0; 1600], samples, &[0; 1600]] {
        for frame in analysis.push(part) {
            learn(cutter.push(frame));
        }
    }
    learn(cutter.finish());
}
