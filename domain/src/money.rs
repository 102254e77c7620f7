//! Money in whole micro-dollars, with checked arithmetic. Never a float.

use std::fmt;
use std::str::FromStr;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use thiserror::Error;
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};

use crate::schema::schema;

/// An amount in millionths of a US dollar. May be negative: a ledger entry has a sign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(i64);

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoneyError {
    #[error("an amount must be digits with at most six decimals, such as 10.00")]
    Malformed,
    #[error("the amount is larger than 9,000,000,000 dollars")]
    TooLarge,
}

const MICROS_PER_DOLLAR: i64 = 1_000_000;
const MAX_DOLLARS: i64 = 9_000_000_000;

impl Micros {
    pub const ZERO: Micros = Micros(0);

    pub const fn new(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum, or `None` on overflow.
    pub fn checked_add(self, other: Micros) -> Option<Micros> {
        self.0.checked_add(other.0).map(Micros)
    }

    /// The difference, or `None` on overflow.
    pub fn checked_sub(self, other: Micros) -> Option<Micros> {
        self.0.checked_sub(other.0).map(Micros)
    }

    /// The product with a count, or `None` on overflow.
    pub fn checked_mul(self, count: i64) -> Option<Micros> {
        self.0.checked_mul(count).map(Micros)
    }

    pub fn is_negative(self) -> bool {
        self.0 < 0
    }
}

/// Writes dollars exactly, with at least three decimals: `9.978`, `0.0022`.
///
/// The text is a valid JSON number.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let (whole, mut fraction) = (micros / 1_000_000, micros % 1_000_000);
        let mut width = 6;
        while width > 3 && fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        write!(f, "{sign}{whole}.{fraction:0width$}")
    }
}

impl fmt::Debug for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${self}")
    }
}

schema!(
    Micros,
    "Usd",
    ObjectBuilder::new()
        .schema_type(Type::Number)
        .format(Some(SchemaFormat::Custom("decimal".to_owned())))
        .description(Some("An exact amount of USD, with three to six decimals."))
        .build()
        .into()
);

/// Serializes as the JSON number that `Display` writes, without rounding or a float in between.
///
/// Only `serde_json`'s text serializer keeps the digits: `serde_json::to_value` converts them to a float.
impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.to_string()).map_err(S::Error::custom)?;
        number.serialize(serializer)
    }
}

impl FromStr for Micros {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 {
            return Err(MoneyError::Malformed);
        }
        let dollars: i64 = whole.parse().map_err(|_| MoneyError::TooLarge)?;
        if dollars > MAX_DOLLARS {
            return Err(MoneyError::TooLarge);
        }
        let micros: i64 = format!("{fraction:0<6}").parse().map_err(|_| MoneyError::Malformed)?;
        let total = dollars * MICROS_PER_DOLLAR + micros;
        Ok(Micros(if is_negative { -total } else { total }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_amount_has_at_least_three_decimals_and_is_not_rounded() {
        for (micros, text) in [
            (0, "0.000"),
            (22_000, "0.022"),
            (2_200, "0.0022"),
            (2_000_000, "2.000"),
            (1, "0.000001"),
            (-22_000, "-0.022"),
            (9_978_000, "9.978"),
            (12_345_678, "12.345678"),
        ] {
            assert_eq!(Micros(micros).to_string(), text);
            assert_eq!(serde_json::to_string(&Micros(micros)).unwrap(), text);
        }
    }

    #[test]
    fn text_that_is_not_an_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "1,5", "1e3", "0.0000001", "--1", "+1", " 1", "NaN"] {
            assert_eq!(text.parse::<Micros>(), Err(MoneyError::Malformed), "{text:?}");
        }
        assert_eq!("9000000001".parse::<Micros>(), Err(MoneyError::TooLarge));
        assert_eq!("99999999999999999999".parse::<Micros>(), Err(MoneyError::TooLarge));
    }

    proptest! {
        #[test]
        fn an_amount_survives_writing_and_parsing(micros in -9_000_000_000_000_000i64..=9_000_000_000_000_000) {
            let amount = Micros(micros);
            prop_assert_eq!(amount.to_string().parse::<Micros>().unwrap(), amount);
        }
    }
}
