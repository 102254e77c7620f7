//! Splits audio into utterances at pauses, and an utterance into its sounds.

use std::collections::VecDeque;
use std::ops::Range;

use super::features::Frame;

/// The shortest pause that ends an utterance.
const MIN_PAUSE_FRAMES: usize = 22;
/// The shortest gap between two sounds; a shorter drop of the level is part of one sound.
const MIN_GAP_FRAMES: usize = 4;
/// An utterance with less sound is a click.
const MIN_SOUND_FRAMES: usize = 8;
/// Longer utterances are dropped, because they could not be recognised and would use unbounded
/// memory.
const MAX_FRAMES: usize = 900;
/// The frames of silence around a word that belong to its description.
pub(super) const MARGIN_FRAMES: usize = 4;

/// Sounds separated by short pauses: one word, or several spoken closely.
#[derive(Default)]
pub(super) struct Utterance {
    pub frames: Vec<Frame>,
    /// The positions of the sounds in `frames`, in order.
    pub sounds: Vec<Range<usize>>,
}

impl Utterance {
    /// The frames of these sounds, including the silence around them.
    pub fn span(&self, sounds: Range<usize>) -> &[Frame] {
        let from = self.sounds[sounds.start].start.saturating_sub(MARGIN_FRAMES);
        let to = self.sounds[sounds.end - 1].end + MARGIN_FRAMES;
        &self.frames[from..to.min(self.frames.len())]
    }

    /// The longest pause between two of these sounds, in frames.
    pub fn longest_pause(&self, sounds: Range<usize>) -> usize {
        let pauses = self.sounds[sounds].windows(2);
        pauses.map(|pair| pair[1].start - pair[0].end).max().unwrap_or(0)
    }

    fn is_click(&self) -> bool {
        self.sounds.iter().map(Range::len).sum::<usize>() < MIN_SOUND_FRAMES
    }
}

/// A finished part of the audio.
pub(super) enum Segment {
    Utterance(Utterance),
    /// Sound without a pause, longer than any utterance.
    Continuous,
}

/// Splits a stream of frames into segments.
#[derive(Default)]
pub(super) struct Segmenter {
    current: Utterance,
    leading_silence: VecDeque<Frame>,
    pause: usize,
    is_continuous: bool,
}

impl Segmenter {
    pub fn push(&mut self, frame: Frame) -> Option<Segment> {
        if frame.is_sound {
            self.push_sound(frame);
            return None;
        }
        self.pause += 1;
        if self.current.sounds.is_empty() {
            if self.leading_silence.len() == MARGIN_FRAMES {
                self.leading_silence.pop_front();
            }
            self.leading_silence.push_back(frame);
        } else if !self.is_continuous {
            self.current.frames.push(frame);
        }
        (self.pause >= MIN_PAUSE_FRAMES).then(|| self.finish()).flatten()
    }

    /// Ends the current segment.
    pub fn finish(&mut self) -> Option<Segment> {
        let utterance = std::mem::take(&mut self.current);
        if std::mem::take(&mut self.is_continuous) {
            return Some(Segment::Continuous);
        }
        let is_empty = utterance.sounds.is_empty() || utterance.is_click();
        (!is_empty).then_some(Segment::Utterance(utterance))
    }

    fn push_sound(&mut self, frame: Frame) {
        let pause = std::mem::take(&mut self.pause);
        if self.is_continuous {
            return;
        }
        let Utterance { frames, sounds } = &mut self.current;
        if frames.len() >= MAX_FRAMES {
            self.is_continuous = true;
            frames.clear();
            return;
        }
        frames.extend(self.leading_silence.drain(..));
        let at = frames.len();
        frames.push(frame);
        match sounds.last_mut() {
            Some(sound) if pause < MIN_GAP_FRAMES => sound.end = at + 1,
            _ => sounds.push(at..at + 1),
        }
    }
}
