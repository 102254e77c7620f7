//! Numbers and amounts as each language writes them, and as people type them.
//!
//! English: `$1,234.50`, `33.3%`, `260,000 VND`. Vietnamese: `1.234,50 USD`, `33,3 %`, `260.000 ₫`.

use std::net::IpAddr;

use nexo_domain::money::Micros;
use nexo_domain::otp::Language;

/// Keeps a number and its unit on one line.
const NO_BREAK_SPACE: char = '\u{a0}';

/// Whole đồng.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vnd(pub i64);

/// A number with a fixed number of decimals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decimal(pub f64, pub usize);

/// A share in percent, with at most this number of decimals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(pub f64, pub usize);

/// A value that a text contains. Each type is written in one way for each language.
pub trait Value {
    fn write(&self, language: Language) -> String;
}

macro_rules! text_values {
    ($($type:ty)*) => {
        $(impl Value for $type {
            fn write(&self, _: Language) -> String {
                self.to_string()
            }
        })*
    };
}

macro_rules! number_values {
    ($($type:ty)*) => {
        $(impl Value for $type {
            fn write(&self, language: Language) -> String {
                grouped(language, &self.to_string())
            }
        })*
    };
}

text_values!(str String IpAddr);
number_values!(i32 i64 u16 u32 u64 usize);

impl<V: Value + ?Sized> Value for &V {
    fn write(&self, language: Language) -> String {
        (**self).write(language)
    }
}

/// US dollars, exactly, with at least two decimals. Three of a round amount would read as thousands: `5,000 USD`.
impl Value for Micros {
    fn write(&self, language: Language) -> String {
        let exact = self.to_string();
        let (sign, amount) = match exact.strip_prefix('-') {
            Some(amount) => ("−", amount),
            None => ("", exact.as_str()),
        };
        let amount = grouped(language, with_cents(amount));
        match language {
            Language::En => format!("{sign}${amount}"),
            Language::Vi => format!("{sign}{amount}{NO_BREAK_SPACE}USD"),
        }
    }
}

impl Value for Vnd {
    fn write(&self, language: Language) -> String {
        let unit = match language {
            Language::En => "VND",
            Language::Vi => "₫",
        };
        format!("{}{NO_BREAK_SPACE}{unit}", self.0.write(language))
    }
}

impl Value for Decimal {
    fn write(&self, language: Language) -> String {
        let Decimal(value, places) = *self;
        grouped(language, &format!("{value:.places$}"))
    }
}

impl Value for Percent {
    fn write(&self, language: Language) -> String {
        let Percent(value, places) = *self;
        let exact = format!("{value:.places$}");
        let number = match exact.contains('.') {
            true => exact.trim_end_matches('0').trim_end_matches('.'),
            false => exact.as_str(),
        };
        let number = grouped(language, number);
        match language {
            Language::En => format!("{number}%"),
            Language::Vi => format!("{number}{NO_BREAK_SPACE}%"),
        }
    }
}

/// The separators of decimals and of thousands.
fn separators(language: Language) -> (char, char) {
    match language {
        Language::En => ('.', ','),
        Language::Vi => (',', '.'),
    }
}

/// A decimal number, such as `-1234.5`, with the language's separators.
fn grouped(language: Language, number: &str) -> String {
    let (decimal, group) = separators(language);
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let digits = whole.trim_start_matches('-');
    let mut text = String::with_capacity(number.len() + digits.len() / 3);
    if digits.len() < whole.len() {
        text.push('−');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(group);
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push(decimal);
        text.push_str(fraction);
    }
    text
}

/// An amount of US dollars for an input field: without a unit, with at least two decimals.
pub fn amount_to_edit(language: Language, amount: Micros) -> String {
    let (decimal, _) = separators(language);
    with_cents(&amount.to_string()).replace('.', &decimal.to_string())
}

/// An amount with at least three decimals as one with at least two.
fn with_cents(exact: &str) -> &str {
    match exact.strip_suffix('0') {
        Some(shorter) if shorter.split_once('.').is_some_and(|(_, rest)| rest.len() == 2) => {
            shorter
        }
        _ => exact,
    }
}

/// Parses an amount of US dollars as people type it: as the pages of this language write it, with or without
/// thousands separators and unit.
///
/// `None` for any other text. A separator of thousands that may have been meant as one of decimals, as in `1.000` on a
/// Vietnamese page, is refused: it would be a thousandfold mistake. `10.00` can only mean ten.
pub fn parse_usd(language: Language, typed: &str) -> Option<Micros> {
    let (decimal, group) = separators(language);
    let amount: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let amount = amount.strip_suffix("USD").unwrap_or(&amount);
    let amount = amount.strip_prefix('$').unwrap_or(amount);
    let (whole, fraction) = match amount.split_once(decimal) {
        Some((whole, fraction)) => (ungrouped(whole, group)?, fraction.to_owned()),
        None => match amount.split_once(group) {
            // One separator: of decimals, if it cannot separate thousands.
            Some((_, rest)) if rest.len() == 3 && !rest.contains(group) => return None,
            Some((whole, rest)) if !rest.contains(group) => (whole.to_owned(), rest.to_owned()),
            _ => (ungrouped(amount, group)?, "0".to_owned()),
        },
    };
    format!("{whole}.{fraction}").parse().ok()
}

/// Parses a whole number as people type it, with or without the language's separators of thousands.
pub fn parse_whole(language: Language, typed: &str) -> Option<u64> {
    let (_, group) = separators(language);
    ungrouped(typed.trim(), group)?.parse().ok()
}

/// The digits of a whole number without separators of thousands, which must be in their places.
fn ungrouped(number: &str, group: char) -> Option<String> {
    let mut groups = number.split(group);
    let first = groups.next()?;
    let has_groups = number.contains(group);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_right = is_number(first)
        && (!has_groups || first.len() <= 3)
        && groups.all(|part| is_number(part) && part.len() == 3);
    is_right.then(|| number.replace(group, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{En, Vi};

    #[test]
    fn each_language_writes_numbers_in_its_way() {
        let usd = |micros| Micros::new(micros);
        for (value, english, vietnamese) in [
            (&usd(13_972_000) as &dyn Value, "$13.972", "13,972\u{a0}USD"),
            (&usd(1_234_500_000), "$1,234.50", "1.234,50\u{a0}USD"),
            (&usd(-22_000), "−$0.022", "−0,022\u{a0}USD"),
            (&usd(5_000_000), "$5.00", "5,00\u{a0}USD"),
            (&usd(0), "$0.00", "0,00\u{a0}USD"),
            (&usd(1), "$0.000001", "0,000001\u{a0}USD"),
            (&Vnd(260_000), "260,000\u{a0}VND", "260.000\u{a0}₫"),
            (&Percent(100.0 / 3.0, 1), "33.3%", "33,3\u{a0}%"),
            (&Percent(100.0, 1), "100%", "100\u{a0}%"),
            (&Decimal(4.406, 2), "4.41", "4,41"),
            (&Decimal(1_234.0, 1), "1,234.0", "1.234,0"),
            (&0, "0", "0"),
            (&999, "999", "999"),
            (&1_234_567, "1,234,567", "1.234.567"),
            (&-123_456, "−123,456", "−123.456"),
            (&"1000", "1000", "1000"),
        ] {
            assert_eq!((value.write(En).as_str(), value.write(Vi).as_str()), (english, vietnamese));
        }
    }

    #[test]
    fn an_amount_is_accepted_as_the_page_shows_it() {
        for micros in [1, 22_000, 13_972_000, 20_000_000, 1_234_500_000, 1_234_567_000_000] {
            let amount = Micros::new(micros);
            for language in [En, Vi] {
                assert_eq!(parse_usd(language, &amount.write(language)), Some(amount));
                let edited = amount_to_edit(language, amount);
                assert_eq!(parse_usd(language, &edited), Some(amount), "{edited}");
            }
        }
        assert_eq!(amount_to_edit(Vi, Micros::new(20_000_000)), "20,00");
        assert_eq!(amount_to_edit(En, Micros::new(2_200)), "0.0022");
    }

    #[test]
    fn an_amount_with_the_other_languages_separator_is_accepted_only_if_it_is_unambiguous() {
        for (language, typed, micros) in [
            (Vi, "10.00", Some(10_000_000)),
            (Vi, "10,5", Some(10_500_000)),
            (Vi, " 12 ", Some(12_000_000)),
            (Vi, "1.234.567", Some(1_234_567_000_000)),
            (Vi, "1.000", None),
            (Vi, "0.022", None),
            (Vi, "1,234.50", None),
            (En, "1,234.50", Some(1_234_500_000)),
            (En, "$ 5", Some(5_000_000)),
            (En, "10,00", Some(10_000_000)),
            (En, "1,000", None),
            (En, "12,34,567", None),
            (En, "1e3", None),
            (En, "ten", None),
            (En, "", None),
            (Vi, ",", None),
            (Vi, "1,0000001", None),
        ] {
            assert_eq!(parse_usd(language, typed).map(Micros::get), micros, "{typed:?}");
        }
    }

    #[test]
    fn a_whole_number_is_accepted_with_and_without_separators() {
        for (language, typed, number) in [
            (En, "1,000", Some(1_000)),
            (En, "1000", Some(1_000)),
            (Vi, "1.000.000", Some(1_000_000)),
            (Vi, "1,000", None),
            (Vi, "10.00", None),
            (En, "-1", None),
            (En, "", None),
        ] {
            assert_eq!(parse_whole(language, typed), number, "{typed:?}");
        }
    }
}
