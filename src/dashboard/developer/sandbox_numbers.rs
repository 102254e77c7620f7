//! What the sandbox carrier does with a call, by the last two digits of the number.

use nexo_voice::sandbox::Behaviour;

use crate::dashboard::texts::Text;
use crate::dashboard::texts::developer::docs as texts;

/// The endings that select an outcome, and the outcomes. All other numbers answer and listen.
pub fn endings() -> impl Iterator<Item = (u8, Text)> {
    let behaviours = (0..100).map(|ending| (ending, Behaviour::of_ending(ending)));
    behaviours.filter_map(|(ending, behaviour)| Some((ending, outcome(behaviour)?)))
}

fn outcome(behaviour: Behaviour) -> Option<Text> {
    match behaviour {
        Behaviour::Busy => Some(texts::S90),
        Behaviour::NeverAnswers => Some(texts::S91),
        Behaviour::Declines => Some(texts::S92),
        Behaviour::InvalidNumber => Some(texts::S93),
        Behaviour::SwitchedOff => Some(texts::S94),
        Behaviour::Congested => Some(texts::S95),
        Behaviour::Throttled => Some(texts::S96),
        Behaviour::Silent => Some(texts::S97),
        Behaviour::HangsUp => Some(texts::S98),
        Behaviour::Voicemail => Some(texts::S99),
        Behaviour::Listens => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endings_of_the_sandbox_are_90_to_99() {
        assert!(endings().map(|(ending, _)| ending).eq(90..100));
    }
}
