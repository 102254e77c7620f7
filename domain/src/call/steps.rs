//! Steps of an answered call, as stored in the call detail record.

use std::fmt::Write;

/// The kind of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// The code was read to its last digit.
    CodeRead,
    /// The callee pressed a key.
    KeyPressed,
}

/// A step and its time, in milliseconds since the attempt began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallStep {
    pub kind: StepKind,
    pub after_ms: u32,
}

/// The most steps in a record: a key may be pressed any number of times.
pub const MAX_STEPS: usize = 32;

impl StepKind {
    fn word(self) -> &'static str {
        match self {
            StepKind::CodeRead => "read",
            StepKind::KeyPressed => "key",
        }
    }
}

/// Writes the steps for the record: `key:4100,read:9230`.
pub fn write(steps: &[CallStep]) -> String {
    let mut text = String::new();
    for step in steps.iter().take(MAX_STEPS) {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a `String` does not fail.
        let _ = write!(text, "{comma}{}:{}", step.kind.word(), step.after_ms);
    }
    text
}

/// Parses the steps of a record. Unknown steps, which a newer version wrote, are skipped.
pub fn read(text: &str) -> Vec<CallStep> {
    text.split(',')
        .filter_map(|step| {
            let (word, after_ms) = step.split_once(':')?;
            let kinds = [StepKind::CodeRead, StepKind::KeyPressed];
            Some(CallStep {
                kind: kinds.into_iter().find(|kind| kind.word() == word)?,
                after_ms: after_ms.parse().ok()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_survive_writing_and_parsing() {
        let steps = [
            CallStep { kind: StepKind::KeyPressed, after_ms: 4_100 },
            CallStep { kind: StepKind::CodeRead, after_ms: 9_230 },
        ];
        assert_eq!(write(&steps), "key:4100,read:9230");
        assert_eq!(read(&write(&steps)), steps);
        assert_eq!(read("wave:1,read:2").len(), 1);
        assert!(read("").is_empty() && write(&[]).is_empty());
        assert_eq!(read(&write(&[steps[0]; 40])).len(), MAX_STEPS);
    }
}
