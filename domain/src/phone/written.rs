//! Numbers as auth servers and people write them.

use crate::phone::carrier_plan::CarrierPlan;
use crate::phone::{Phone, PhoneError};

/// The most characters that are read. E.164 has 15 digits; the rest is for separators.
const MAX_CHARACTERS: usize = 64;

/// Vietnam's country code.
const COUNTRY_CODE: &str = "84";

impl Phone {
    /// Parses a Vietnamese mobile number in one of its common forms: `+84981234567`, `84981234567`, `0084981234567`
    /// or `0981234567`. Blanks, dots, dashes and brackets are dropped, as in `+84 (0) 98-123.45.67`.
    ///
    /// The API itself accepts only E.164 ([`Phone::parse`]), so that each number has one form there. This is for
    /// programs whose form the customer cannot choose.
    ///
    /// # Errors
    /// [`PhoneError::NotVietnamese`] for a number of another country.
    pub fn parse_written(text: &str, plan: &CarrierPlan) -> Result<Phone, PhoneError> {
        let written: String =
            text.chars().take(MAX_CHARACTERS + 1).filter(|c| !is_separator(*c)).collect();
        if text.chars().nth(MAX_CHARACTERS).is_some() {
            return Err(PhoneError::NotNineDigits);
        }
        let national = national(&written).ok_or(PhoneError::NotVietnamese)?;
        Phone::parse(&format!("+84{national}"), plan)
    }
}

/// The national number without its trunk prefix, if the number is not of another country.
fn national(written: &str) -> Option<&str> {
    let international = written.strip_prefix('+').or_else(|| written.strip_prefix("00"));
    match international {
        Some(international) => {
            let national = international.strip_prefix(COUNTRY_CODE)?;
            Some(without_trunk_prefix(national))
        }
        // Ten digits with a leading 0 are dialled within the country. `84…` with eleven is international; a national
        // number without its 0 is refused, because another country's number may look like it.
        None => match written.strip_prefix('0') {
            Some(national) => Some(national),
            None => written.strip_prefix(COUNTRY_CODE).map(without_trunk_prefix),
        },
    }
}

/// `+84 (0)98…` is a common mistake, and unambiguous: no national number begins with 0.
fn without_trunk_prefix(national: &str) -> &str {
    match national.len() {
        10 => national.strip_prefix('0').unwrap_or(national),
        _ => national,
    }
}

/// Whether a character only separates groups of digits: blanks (also non-breaking ones), dots, dashes, brackets, and the
/// invisible marks that phone books put around a number.
fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '.' | '-' | '(' | ')' | '[' | ']')
        || matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Phone, PhoneError> {
        Phone::parse_written(text, &CarrierPlan::vietnam())
    }

    #[test]
    fn every_common_form_of_a_number_is_the_same_number() {
        for text in [
            "+84981234567",
            "84981234567",
            "0084981234567",
            "0981234567",
            "098 123 45 67",
            "098.123.4567",
            "(098) 123-4567",
            "+84 98 123 45 67",
            "+84 (0) 98 123 4567",
            "840981234567",
            "[+84] 98‑123‑4567",
            "\u{a0}098\u{202f}123\u{2009}4567\u{a0}",
            "\u{202a}+84 98 123 4567\u{202c}",
        ] {
            assert_eq!(
                parse(text).map(|phone| phone.to_string()).as_deref(),
                Ok("+84981234567"),
                "{text:?}"
            );
        }
    }

    #[test]
    fn numbers_of_other_countries_and_other_text_are_refused() {
        for text in [
            "",
            "+",
            "+1 415 555 2671",
            "+8613812345678",
            "0086 138 1234 5678",
            "14155552671",
            "981234567",
            "++84981234567",
            "+0084981234567",
            "tel:+84981234567",
            "phone",
        ] {
            assert_eq!(parse(text), Err(PhoneError::NotVietnamese), "{text:?}");
        }
        for text in [
            "+84",
            "0",
            "84",
            "00840",
            "+8498123456",
            "+849812345678",
            "09812345678",
            "098123456",
            "+84 98x 123 4567",
            "0981234567 ext 1",
            "+84٩٨١٢٣٤٥٦٧",
            "0９８1234567",
            "+8400981234567",
        ] {
            assert_eq!(parse(text), Err(PhoneError::NotNineDigits), "{text:?}");
        }
        assert_eq!(
            parse(&format!("0981234567{}", " ".repeat(100))),
            Err(PhoneError::NotNineDigits)
        );
        for text in ["0241234567", "+84 24 1234 567", "84241234567"] {
            assert_eq!(parse(text), Err(PhoneError::NotMobile), "{text:?}");
        }
    }

    /// Digits with separators in between.
    fn separated(digits: String) -> impl Strategy<Value = String> {
        let separators = prop::sample::select(vec![
            "", "", "", " ", ".", "-", "(", ")", "[", "]", "\u{a0}", "\u{202f}", "  ",
        ]);
        prop::collection::vec(separators, digits.len() + 1).prop_map(move |separators| {
            let mut text = separators[0].to_owned();
            for (digit, separator) in digits.chars().zip(&separators[1..]) {
                text.push(digit);
                text.push_str(separator);
            }
            text
        })
    }

    fn number() -> impl Strategy<Value = (u8, u32)> {
        (0u8..100, 0u32..10_000_000)
    }

    proptest! {
        #[test]
        fn each_form_of_each_number_of_the_plan_is_read(
            (prefix, rest, text) in number().prop_flat_map(|(prefix, rest)| {
                let start = prop::sample::select(vec!["+84", "84", "0084", "0"]);
                (Just(prefix), Just(rest), start.prop_flat_map(move |start| {
                    separated(format!("{start}{prefix:02}{rest:07}"))
                }))
            })
        ) {
            let plan = CarrierPlan::vietnam();
            let e164 = format!("+84{prefix:02}{rest:07}");
            // A national number never begins with 0; `0084…` and `84 0…` are other forms.
            prop_assume!(prefix >= 10);
            prop_assert_eq!(parse(&text), Phone::parse(&e164, &plan), "{:?}", text);
            prop_assert_eq!(parse(&text).is_ok(), plan.carrier(prefix).is_some());
        }

        #[test]
        fn a_number_of_another_country_is_never_taken_for_one_of_ours(
            country in 1u32..1000, rest in "[0-9]{4,12}", start in "(\\+|00)",
        ) {
            prop_assume!(!format!("{country}{rest}").starts_with("84"));
            prop_assert_eq!(parse(&format!("{start}{country}{rest}")), Err(PhoneError::NotVietnamese));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,100}") {
            if let Ok(phone) = parse(&text) {
                prop_assert!(phone.carrier(&CarrierPlan::vietnam()).is_some());
            }
        }
    }
}
