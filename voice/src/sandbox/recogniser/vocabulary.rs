//! The words that can be recognised, and the recognition of the words of an utterance.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use nexo_domain::otp::Language;

use super::features::{Analysis, Vector, vectors};
use super::utterance::{Segment, Segmenter, Utterance};
use super::warping::distance;
use super::word::Word;
use crate::speech::prompts::PromptSet;

/// The largest distance of a word from its template, averaged over its frames.
const MAX_DISTANCE: f32 = 0.5;
/// The distance of the second nearest word must exceed that of the nearest by this ratio.
const MIN_RATIO_TO_NEXT: f32 = 1.1;
/// The longest pause within a digit, in frames: the closure of a stop, or lost packets.
const MAX_PAUSE_IN_DIGIT: usize = 12;
/// The longest digit in frames, including the silence around it.
const MAX_DIGIT_FRAMES: usize = 110;
/// The shortest digit in frames, including the silence around it.
const MIN_DIGIT_FRAMES: usize = 18;

/// The description of a known word.
struct Template {
    word: Word,
    vectors: Vec<Vector>,
}

/// All words that can be recognised.
pub(crate) struct Vocabulary {
    templates: Vec<Template>,
}

impl Vocabulary {
    /// Returns the words of the built-in prompts, which are analysed once.
    pub fn built_in() -> Arc<Vocabulary> {
        static BUILT_IN: OnceLock<Arc<Vocabulary>> = OnceLock::new();
        let build = || Arc::new(Vocabulary::new(PromptSet::built_in()));
        Arc::clone(BUILT_IN.get_or_init(build))
    }

    /// Analyses the words of these prompts.
    pub fn new(prompts: &PromptSet) -> Vocabulary {
        let mut templates = Vec::new();
        for language in [Language::Vi, Language::En] {
            for (digit, slow) in (0..10).flat_map(|d| [(d, false), (d, true)]) {
                let samples = prompts.digit_samples(language, digit, slow);
                add_templates(&samples, Word::Digit(digit), &mut templates);
            }
            for phrase in prompts.phrase_samples(language) {
                add_templates(&phrase, Word::Phrase, &mut templates);
            }
        }
        Vocabulary { templates }
    }

    /// Returns the sequence of words that fits the utterance best.
    pub(super) fn recognise(&self, utterance: &Utterance) -> Vec<Word> {
        // For each number of sounds from the first: the lowest cost of words for them, and the last
        // of these words.
        let mut fits = vec![(0.0, 0, Word::Unknown)];
        for end in 1..=utterance.sounds.len() {
            let unknown = utterance.sounds[end - 1].len() as f32 * MAX_DISTANCE;
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
        merge_unknown(words, utterance)
    }

    /// Returns the word of these sounds, if any, and its cost.
    fn nearest(&self, utterance: &Utterance, sounds: Range<usize>) -> Option<(Word, f32)> {
        let frames = utterance.span(sounds.clone());
        let may_be_digit = (MIN_DIGIT_FRAMES..=MAX_DIGIT_FRAMES).contains(&frames.len())
            && utterance.longest_pause(sounds.clone()) <= MAX_PAUSE_IN_DIGIT;
        let spoken = vectors(frames);
        let mut nearest = [f32::INFINITY; 11];
        for template in &self.templates {
            if !may_be_digit && template.word != Word::Phrase {
                continue;
            }
            let index = template.word.digit().map_or(10, usize::from);
            let limit = nearest[index].min(MAX_DISTANCE * MIN_RATIO_TO_NEXT);
            let cost = distance(&spoken, &template.vectors, limit);
            nearest[index] = nearest[index].min(cost);
        }
        let index = (0..nearest.len()).min_by(|a, b| nearest[*a].total_cmp(&nearest[*b]))?;
        let lowest = nearest[index];
        let is_clear = (0..nearest.len())
            .all(|other| other == index || nearest[other] >= lowest * MIN_RATIO_TO_NEXT);
        let word = match index {
            10 => Word::Phrase,
            digit => Word::Digit(digit as u8),
        };
        let length = utterance.sounds[sounds.end - 1].end - utterance.sounds[sounds.start].start;
        (lowest < MAX_DISTANCE && is_clear).then_some((word, lowest * length as f32))
    }
}

/// Merges adjacent unknown sounds; a long one is a phrase.
fn merge_unknown(words: Vec<(Word, Range<usize>)>, utterance: &Utterance) -> Vec<Word> {
    let mut merged: Vec<(Word, Range<usize>)> = Vec::new();
    for (word, sounds) in words {
        match merged.last_mut() {
            Some((Word::Unknown, before)) if word == Word::Unknown => before.end = sounds.end,
            _ => merged.push((word, sounds)),
        }
    }
    let is_long = |sounds: Range<usize>| utterance.span(sounds).len() > MAX_DIGIT_FRAMES;
    let words = merged.into_iter().map(|(word, sounds)| match word {
        Word::Unknown if is_long(sounds) => Word::Phrase,
        word => word,
    });
    words.collect()
}

/// Adds the utterances of a prompt, split as in a call.
fn add_templates(samples: &[i16], word: Word, templates: &mut Vec<Template>) {
    let mut analysis = Analysis::new();
    let mut segmenter = Segmenter::default();
    let mut add = |segment: Option<Segment>| {
        if let Some(Segment::Utterance(utterance)) = segment {
            templates.push(Template {
                word,
                vectors: vectors(utterance.span(0..utterance.sounds.len())),
            });
        }
    };
    for part in [&[0; 1600], samples, &[0; 1600]] {
        for frame in analysis.push(part) {
            add(segmenter.push(frame));
        }
    }
    add(segmenter.finish());
}
