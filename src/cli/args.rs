//! Arguments that several commands take, checked as they are read.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use nexo_domain::account::email::EmailAddress;
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_domain::otp::{Code, Language};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::CarrierPlan;

/// A code, 4 to 8 digits.
pub fn code(text: &str) -> Result<Code, String> {
    Code::parse(text).map_err(|error| error.to_string())
}

/// A number that can be called, such as +84981234567.
pub fn phone(text: &str) -> Result<Phone, String> {
    Phone::parse(text, &CarrierPlan::vietnam()).map_err(|error| error.to_string())
}

/// `vi` or `en`.
pub fn language() -> impl TypedValueParser<Value = Language> {
    PossibleValuesParser::new(["vi", "en"])
        .map(|code| Language::from_code(&code).expect("one of the possible values"))
}

/// `balance`, `bonus` or `free`.
pub fn bucket() -> impl TypedValueParser<Value = Bucket> {
    PossibleValuesParser::new(["balance", "bonus", "free"])
        .map(|name| Bucket::named(&name).expect("one of the possible values"))
}

/// US dollars, more than zero.
pub fn amount(text: &str) -> Result<Micros, String> {
    match text.parse::<Micros>() {
        Ok(amount) if amount > Micros::ZERO => Ok(amount),
        Ok(_) => Err("the amount must be more than zero".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// US dollars with a sign, not zero.
pub fn signed_amount(text: &str) -> Result<Micros, String> {
    match text.parse::<Micros>() {
        Ok(Micros::ZERO) => Err("the amount must not be zero".to_owned()),
        Ok(amount) => Ok(amount),
        Err(error) => Err(error.to_string()),
    }
}

/// What an operator says of an entry: 1 to 200 characters on one line.
pub fn note(text: &str) -> Result<String, String> {
    let text = text.trim();
    match (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err("a note is 1 to 200 characters on one line".to_owned()),
    }
}

/// A name that people gave: 1 to 64 characters on one line.
pub fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    match (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err("a name is 1 to 64 characters".to_owned()),
    }
}

/// What a credit is known by: 1 to 128 visible ASCII characters.
pub fn reference(text: &str) -> Result<String, String> {
    match (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("a reference is 1 to 128 ASCII characters without blanks".to_owned()),
    }
}

/// An e-mail address, in lower case. Whether mail arrives there is not asked.
pub fn email(text: &str) -> Result<String, String> {
    match text.parse::<EmailAddress>() {
        Ok(address) => Ok(address.as_str().to_owned()),
        Err(error) => Err(error.to_string()),
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
    fn a_correction_has_a_sign_and_a_note_is_one_line() {
        assert_eq!(signed_amount("-1.00").unwrap().get(), -1_000_000);
        assert_eq!(signed_amount("0.022").unwrap().get(), 22_000);
        for text in ["0", "-0.000", "--1", "", "-"] {
            assert!(signed_amount(text).is_err(), "{text:?}");
        }
        assert_eq!(note(" credited twice "), Ok("credited twice".to_owned()));
        assert!(note("").is_err() && note("a\nb").is_err() && note(&"a".repeat(201)).is_err());
    }

    #[test]
    fn a_name_or_reference_is_short_and_visible() {
        assert_eq!(name(" máy chủ 1 "), Ok("máy chủ 1".to_owned()));
        assert!(name(" ").is_err() && name("a\nb").is_err() && name(&"a".repeat(65)).is_err());
        assert!(reference("INV-2026/001").is_ok());
        assert!(reference("").is_err() && reference("a b").is_err() && reference("ă").is_err());
    }
}
