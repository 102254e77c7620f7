//! Checks of text that people type: names, notes, references and amounts. The command line and the dashboard use
//! the same ones.

use nexo_domain::account::quota::MAX_LIMIT;
use nexo_domain::money::Micros;

/// An amount in US dollars, more than zero.
///
/// # Errors
/// What is wrong with the text, in one line.
pub fn amount(text: &str) -> Result<Micros, String> {
    match text.parse::<Micros>() {
        Ok(amount) if amount > Micros::ZERO => Ok(amount),
        Ok(_) => Err("the amount must be more than zero".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn line(text: &str, what: &str, max_characters: usize) -> Result<String, String> {
    let text = text.trim();
    match (1..=max_characters).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
    {
        true => Ok(text.to_owned()),
        false => Err(format!("a {what} is 1 to {max_characters} characters on one line")),
    }
}

/// An operator's reason or note: 1 to 200 characters on one line.
///
/// # Errors
/// What is wrong with the text, in one line.
pub fn note(text: &str) -> Result<String, String> {
    line(text, "note", 200)
}

/// A limit per day: a whole number; 0 is unlimited.
///
/// # Errors
/// What is wrong with the text, in one line.
pub fn quota(text: &str) -> Result<u32, String> {
    let number = text.parse::<u32>().ok();
    let number = number.filter(|number| *number <= MAX_LIMIT);
    number.ok_or_else(|| format!("a limit is a whole number from 0 to {MAX_LIMIT}"))
}

/// A name: 1 to 64 characters on one line.
///
/// # Errors
/// What is wrong with the text, in one line.
pub fn name(text: &str) -> Result<String, String> {
    line(text, "name", 64)
}

/// The reference of a credit or payment: 1 to 128 visible ASCII characters.
///
/// # Errors
/// What is wrong with the text, in one line.
pub fn reference(text: &str) -> Result<String, String> {
    match (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("a reference is 1 to 128 ASCII characters without spaces".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_more_than_zero() {
        assert_eq!(amount("10.00").unwrap().get(), 10_000_000);
        for text in ["0", "0.000", "-1", "1e3", "ten", "", "0.0000001"] {
            assert!(amount(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_limit_is_a_whole_number() {
        assert_eq!(quota("0"), Ok(0));
        assert_eq!(quota("1000000000"), Ok(MAX_LIMIT));
        for text in ["", "-1", "1.5", "1000000001", "many"] {
            assert!(quota(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_note_name_or_reference_is_short_and_on_one_line() {
        assert_eq!(note(" credited twice "), Ok("credited twice".to_owned()));
        assert!(note("").is_err() && note("a\nb").is_err() && note(&"a".repeat(201)).is_err());
        assert_eq!(name(" máy chủ 1 "), Ok("máy chủ 1".to_owned()));
        assert!(name(" ").is_err() && name("a\nb").is_err() && name(&"a".repeat(65)).is_err());
        assert!(reference("INV-2026/001").is_ok());
        assert!(reference("").is_err() && reference("a b").is_err() && reference("ă").is_err());
    }
}
