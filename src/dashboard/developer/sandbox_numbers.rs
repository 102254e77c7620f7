//! What the sandbox carrier does with a call, by the last two digits of the number.

use nexo_voice::sandbox::Behaviour;

use crate::dashboard::locale::Locale;
use crate::dashboard::texts::developer::{docs as texts, test_otp};
use crate::dashboard::texts::{Text, Translate};

/// The ending of a number that answers and listens.
pub const ANSWERS: u8 = 67;

/// The endings and outcomes to choose from in a form.
pub fn outcomes(l: Locale) -> impl Iterator<Item = (String, String)> {
    let all = [(ANSWERS, test_otp::ANSWERED)].into_iter().chain(endings());
    all.map(move |(ending, text)| (ending.to_string(), format!("…{ending}: {}", l.t(text))))
}

/// A number with this ending, another one each time: a phone is called at most once in 30 seconds.
pub fn random_phone(ending: u8) -> String {
    let middle: u32 = rand::random_range(0..100_000);
    format!("+8498{middle:05}{:02}", ending % 100)
}

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
    use nexo_domain::phone::Phone;
    use nexo_domain::phone::carrier_plan::CarrierPlan;

    #[test]
    fn each_number_is_a_mobile_with_the_chosen_ending() {
        for ending in [ANSWERS, 90, 99, 7] {
            let phone = Phone::parse(&random_phone(ending), &CarrierPlan::vietnam()).unwrap();
            assert_eq!(phone.last_two(), ending);
        }
    }

    #[test]
    fn the_endings_of_the_sandbox_are_90_to_99() {
        assert!(endings().map(|(ending, _)| ending).eq(90..100));
    }
}
