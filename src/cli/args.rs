//! Parsers for arguments that several commands share. Each error is one line with the allowed values.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use nexo_domain::account::email::EmailAddress;
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_domain::otp::{Code, Language};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::CarrierPlan;

pub use crate::input::{amount, name, note, quota, reference};

/// Parses a code of 4 to 8 digits.
pub fn code(text: &str) -> Result<Code, String> {
    Code::parse(text).map_err(|error| error.to_string())
}

/// Parses a number that can be called, such as +84981234567.
pub fn phone(text: &str) -> Result<Phone, String> {
    Phone::parse(text, &CarrierPlan::vietnam()).map_err(|error| error.to_string())
}

/// Parses `vi` or `en`.
pub fn language() -> impl TypedValueParser<Value = Language> {
    PossibleValuesParser::new(["vi", "en"])
        .map(|code| Language::from_code(&code).expect("one of the possible values"))
}

/// Parses `balance`, `bonus` or `free`.
pub fn bucket() -> impl TypedValueParser<Value = Bucket> {
    PossibleValuesParser::new(["balance", "bonus", "free"])
        .map(|name| Bucket::named(&name).expect("one of the possible values"))
}

/// Parses the name of a quota of accounts, such as `test_otps`.
pub fn quota_kind() -> impl TypedValueParser<Value = QuotaKind> {
    PossibleValuesParser::new(QuotaKind::of_accounts().map(QuotaKind::name))
        .map(|name| QuotaKind::named(&name).expect("one of the possible values"))
}

/// Parses US dollars, positive or negative but not zero.
pub fn signed_amount(text: &str) -> Result<Micros, String> {
    match text.parse::<Micros>() {
        Ok(Micros::ZERO) => Err("the amount must not be zero".to_owned()),
        Ok(amount) => Ok(amount),
        Err(error) => Err(error.to_string()),
    }
}

/// Parses an e-mail address and converts it to lower case. Only the syntax is checked.
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
    fn a_correction_may_be_negative_but_not_zero() {
        assert_eq!(signed_amount("-1.00").unwrap().get(), -1_000_000);
        assert_eq!(signed_amount("0.022").unwrap().get(), 22_000);
        for text in ["0", "-0.000", "--1", "", "-"] {
            assert!(signed_amount(text).is_err(), "{text:?}");
        }
    }
}
