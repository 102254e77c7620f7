//! Where speech pauses: cuts a call into utterances, and an utterance into its sounds.

use std::collections::VecDeque;
use std::ops::Range;

use super::features::Frame;

/// A pause so long ends an utterance.
const PAUSE_FRAMES: usize = 22;
/// Shorter dips of the level are inside one sound.
const DIP_FRAMES: usize = 4;
/// Utterances with less sound than this are clicks.
const CLICK_FRAMES: usize = 8;
/// Longer ones are no speech that could be understood; they are dropped so that memory stays bounded.
const LONGEST_FRAMES: usize = 900;
/// The quiet around a word that is looked at with it.
pub(super) const MARGIN_FRAMES: usize = 4;

/// Sounds with short pauses between them: a word, or several spoken closely.
#[derive(Default)]
pub(super) struct Utterance {
    pub frames: Vec<Frame>,
    /// Where in `frames` the sounds are, in order.
    pub sounds: Vec<Range<usize>>,
}

impl Utterance {
    /// The frames of these sounds with the quiet around them.
    pub fn span(&self, sounds: Range<usize>) -> &[Frame] {
        let from = self.sounds[sounds.start]
            .start
            .saturating_sub(MARGIN_FRAMES);
        let to = self.sounds[sounds.end - 1].end + MARGIN_FRAMES;
        &self.frames[from..to.min(self.frames.len())]
    }

    /// The longest pause between two of these sounds, in frames.
    pub fn longest_pause(&self, sounds: Range<usize>) -> usize {
        let pauses = self.sounds[sounds].windows(2);
        pauses
            .map(|pair| pair[1].start - pair[0].end)
            .max()
            .unwrap_or(0)
    }

    fn is_click(&self) -> bool {
        self.sounds.iter().map(Range::len).sum::<usize>() < CLICK_FRAMES
    }
}

/// What came to an end.
pub(super) enum Cut {
    Utterance(Utterance),
    /// Sound without a pause for longer than anybody speaks.
    Drone,
}

/// Cuts a stream of frames.
#[derive(Default)]
pub(super) struct Cutter {
    current: Utterance,
    quiet_before: VecDeque<Frame>,
    pause: usize,
    droning: bool,
}

impl Cutter {
    pub fn push(&mut self, frame: Frame) -> Option<Cut> {
        if frame.is_sound {
            self.hear(frame);
            return None;
        }
        self.pause += 1;
        if self.current.sounds.is_empty() {
            if self.quiet_before.len() == MARGIN_FRAMES {
                self.quiet_before.pop_front();
            }
            self.quiet_before.push_back(frame);
        } else if !self.droning {
            self.current.frames.push(frame);
        }
        (self.pause >= PAUSE_FRAMES)
            .then(|| self.finish())
            .flatten()
    }

    /// Ends what was being said.
    pub fn finish(&mut self) -> Option<Cut> {
        let utterance = std::mem::take(&mut self.current);
        if std::mem::take(&mut self.droning) {
            return Some(Cut::Drone);
        }
        let nothing = utterance.sounds.is_empty() || utterance.is_click();
        (!nothing).then_some(Cut::Utterance(utterance))
    }

    fn hear(&mut self, frame: Frame) {
        let pause = std::mem::take(&mut self.pause);
        if self.droning {
            return;
        }
        let Utterance { frames, sounds } = &mut self.current;
        if frames.len() >= LONGEST_FRAMES {
            self.droning = true;
            frames.clear();
            return;
        }
        frames.extend(self.quiet_before.drain(..));
        let at = frames.len();
        frames.push(frame);
        match sounds.last_mut() {
            Some(sound) if pause < DIP_FRAMES => sound.end = at + 1,
            _ => sounds.push(at..at + 1),
        }
    }
}
