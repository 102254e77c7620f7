//! The script of a call: slices of encoded prompts and silence, with marks.

use std::time::Duration;

/// Bytes of one frame: 20 ms at 8 kHz.
pub const FRAME: usize = 160;
pub const FRAME_MS: u32 = 20;

/// A point in the script that is reported when it is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// A digit has been spoken. Both numbers count from 0.
    DigitSpoken { reading: u8, position: u8 },
    /// The last digit of a reading has been spoken.
    ReadingDone { reading: u8 },
}

/// Whole frames, played one or more times.
#[derive(Clone, Copy)]
pub struct Piece {
    pub audio: &'static [u8],
    pub repeat: u32,
    /// Reached once the last frame has been sent.
    pub mark: Option<Mark>,
}

impl Piece {
    /// The number of frames, including repetitions.
    pub fn frames(&self) -> u32 {
        (self.audio.len() / FRAME) as u32 * self.repeat
    }
}

/// All audio of one call. Deliberately without `Debug`: it spells the code.
#[derive(Clone)]
pub struct Script {
    pub pieces: Vec<Piece>,
}

impl Script {
    pub fn frames(&self) -> u32 {
        self.pieces.iter().map(Piece::frames).sum()
    }

    pub fn duration(&self) -> Duration {
        Duration::from_millis(u64::from(self.frames() * FRAME_MS))
    }

    /// The time from the start until `mark` is reached, or the whole duration without it.
    pub fn time_until(&self, mark: Mark) -> Duration {
        let reached = self.pieces.iter().position(|piece| piece.mark == Some(mark));
        let pieces = &self.pieces[..reached.map_or(self.pieces.len(), |last| last + 1)];
        let frames: u32 = pieces.iter().map(Piece::frames).sum();
        Duration::from_millis(u64::from(frames * FRAME_MS))
    }
}

/// Builds a script piece by piece.
pub(super) struct ScriptBuilder {
    /// One frame of silence.
    silence: &'static [u8],
    pieces: Vec<Piece>,
}

impl ScriptBuilder {
    pub fn new(silence: &'static [u8], capacity: usize) -> ScriptBuilder {
        ScriptBuilder { silence, pieces: Vec::with_capacity(capacity) }
    }

    pub fn say(&mut self, audio: &'static [u8], mark: Option<Mark>) {
        self.pieces.push(Piece { audio, repeat: 1, mark });
    }

    /// Appends silence of whole frames, at least this long.
    pub fn pause(&mut self, at_least_ms: u32) {
        self.pieces.push(Piece {
            audio: self.silence,
            repeat: at_least_ms.div_ceil(FRAME_MS),
            mark: None,
        });
    }

    /// Sets the mark of the last piece.
    pub fn mark(&mut self, mark: Mark) {
        if let Some(last) = self.pieces.last_mut() {
            last.mark = Some(mark);
        }
    }

    pub fn build(self) -> Script {
        Script { pieces: self.pieces }
    }
}
