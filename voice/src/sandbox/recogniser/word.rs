//! The words that the recogniser reports.

/// A recognised word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// 0–9.
    Digit(u8),
    /// A part of the greeting, of "again" or of the goodbye, or any other long speech.
    Phrase,
    /// A sound that is not a known word.
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
