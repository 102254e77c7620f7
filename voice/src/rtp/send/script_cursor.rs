//! The position of a stream in its script.

use crate::speech::prompts::{FRAME, Mark, Piece, Script};

/// Yields the frames of a script in order.
pub(super) struct ScriptCursor {
    pieces: Vec<Piece>,
    piece: usize,
    /// The frame within the piece, counted over all its repetitions.
    frame: u32,
}

impl ScriptCursor {
    pub fn new(script: Script) -> ScriptCursor {
        ScriptCursor { pieces: script.pieces, piece: 0, frame: 0 }
    }

    /// The next frame, and the mark that it completes. `None` at the end of the script.
    pub fn next_frame(&mut self) -> Option<(&'static [u8], Option<Mark>)> {
        while self.pieces.get(self.piece)?.frames() == 0 {
            self.piece += 1;
        }
        let piece = self.pieces[self.piece];
        let at = self.frame as usize % (piece.audio.len() / FRAME) * FRAME;
        let mark = piece.mark.filter(|_| self.frame + 1 == piece.frames());
        self.frame += 1;
        if self.frame == piece.frames() {
            (self.frame, self.piece) = (0, self.piece + 1);
        }
        Some((&piece.audio[at..at + FRAME], mark))
    }
}
