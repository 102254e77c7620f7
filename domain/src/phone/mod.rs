//! Vietnamese mobile numbers (E.164, `+84` and nine digits).

use std::fmt;

use thiserror::Error;

use crate::phone::carrier_plan::{Carrier, CarrierPlan};
use crate::schema::{pattern, schema};

pub mod carrier_plan;
pub mod portability;
pub mod window;
mod written;

/// A valid Vietnamese mobile number. `Debug` masks it; `Display` writes the whole number in E.164 format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phone(u32);

/// Why a text is not a Vietnamese mobile number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PhoneError {
    #[error("a phone number starts with +84")]
    NotVietnamese,
    #[error("a phone number must be +84 and exactly 9 digits, without blanks or separators")]
    NotNineDigits,
    #[error("the number is not in a Vietnamese mobile range")]
    NotMobile,
}

impl Phone {
    /// Parses `+84` and nine ASCII digits in a mobile range of `plan`. Blanks and separators are refused.
    pub fn parse(text: &str, plan: &CarrierPlan) -> Result<Phone, PhoneError> {
        let national = text.strip_prefix("+84").ok_or(PhoneError::NotVietnamese)?;
        if national.len() != 9 || !national.bytes().all(|b| b.is_ascii_digit()) {
            return Err(PhoneError::NotNineDigits);
        }
        let number: u32 = national.parse().map_err(|_| PhoneError::NotNineDigits)?;
        let phone = Phone(number);
        match plan.carrier(phone.prefix()) {
            Some(_) => Ok(phone),
            None => Err(PhoneError::NotMobile),
        }
    }

    /// Parses a number from a record, `+84` and nine digits.
    ///
    /// The numbering plan is not checked: the range may have been withdrawn since.
    pub fn from_record(text: &str) -> Option<Phone> {
        let national = text.strip_prefix("+84")?;
        (national.len() == 9 && national.bytes().all(|b| b.is_ascii_digit()))
            .then(|| national.parse().ok().map(Phone))
            .flatten()
    }

    /// The nine national digits as a number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// A number from a record, as its nine national digits. Otherwise like [`Phone::from_record`].
    pub fn from_number(number: u32) -> Option<Phone> {
        (number < 1_000_000_000).then_some(Phone(number))
    }

    /// The first two national digits, which select the range in the numbering plan.
    pub fn prefix(self) -> u8 {
        (self.0 / 10_000_000) as u8
    }

    /// The last two digits, which select the behaviour of the sandbox carrier.
    pub fn last_two(self) -> u8 {
        (self.0 % 100) as u8
    }

    /// The carrier that hosts the range of the number.
    pub fn carrier(self, plan: &CarrierPlan) -> Option<Carrier> {
        plan.carrier(self.prefix())
    }

    /// `84981234567`, as some trunks expect it.
    pub fn international(self) -> String {
        format!("84{:09}", self.0)
    }

    /// `0981234567`, as it is dialled within Vietnam.
    pub fn national(self) -> String {
        format!("0{:09}", self.0)
    }

    /// `+8498***4567`, for logs: enough to recognise a known number.
    pub fn masked(self) -> String {
        format!("+84{:02}***{:04}", self.prefix(), self.0 % 10_000)
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+84{:09}", self.0)
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

schema!(Phone, "Phone", {
    let prefixes: Vec<String> =
        CarrierPlan::vietnam().prefixes().map(|prefix| format!("{prefix:02}")).collect();
    pattern(
        "A Vietnamese mobile number in E.164.",
        format!(r"^\+84(?:{})[0-9]{{7}}$", prefixes.join("|")),
    )
    .into()
});
schema!(
    RecordedPhone,
    "RecordedPhone",
    pattern(
        "The number in E.164; its middle digits are `***` after the retention period of phones.",
        r"^\+84[0-9]{2}(?:[0-9]{3}|\*\*\*)[0-9]{4}$".to_owned(),
    )
    .into()
);

/// A number in a record: whole, or masked permanently.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordedPhone {
    Whole(Phone),
    /// The first two national digits and the last four.
    Masked {
        prefix: u8,
        last_four: u16,
    },
}

impl RecordedPhone {
    /// Parses a number from a record, in the form that [`fmt::Display`] writes.
    pub fn from_record(text: &str) -> Option<RecordedPhone> {
        if let Some(phone) = Phone::from_record(text) {
            return Some(RecordedPhone::Whole(phone));
        }
        let (prefix, last_four) = text.strip_prefix("+84")?.split_once("***")?;
        let is_number =
            |part: &str, width| part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
        (is_number(prefix, 2) && is_number(last_four, 4)).then_some(())?;
        Some(RecordedPhone::Masked {
            prefix: prefix.parse().ok()?,
            last_four: last_four.parse().ok()?,
        })
    }

    /// The whole number, if it is not masked.
    pub fn whole(self) -> Option<Phone> {
        match self {
            RecordedPhone::Whole(phone) => Some(phone),
            RecordedPhone::Masked { .. } => None,
        }
    }
}

/// `+84981234567`, or `+8498***4567`.
impl fmt::Display for RecordedPhone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordedPhone::Whole(phone) => phone.fmt(f),
            RecordedPhone::Masked { prefix, last_four } => {
                write!(f, "+84{prefix:02}***{last_four:04}")
            }
        }
    }
}

impl fmt::Debug for RecordedPhone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordedPhone::Whole(phone) => fmt::Debug::fmt(phone, f),
            RecordedPhone::Masked { .. } => fmt::Display::fmt(self, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mobile_number_is_parsed_and_written() {
        let plan = CarrierPlan::vietnam();
        let phone = Phone::parse("+84981234567", &plan).unwrap();
        assert_eq!(phone.to_string(), "+84981234567");
        assert_eq!(phone.international(), "84981234567");
        assert_eq!(phone.national(), "0981234567");
        assert_eq!(format!("{phone:?}"), "+8498***4567");
        assert_eq!(phone.carrier(&plan).unwrap().name(), "viettel");
        assert_eq!(phone.last_two(), 67);
        assert_eq!(Phone::from_record("+84981234567"), Some(phone));
    }

    #[test]
    fn a_recorded_number_is_whole_or_masked() {
        for text in ["+84981234567", "+8498***4567", "+8403***0007"] {
            let phone = RecordedPhone::from_record(text).unwrap();
            assert_eq!(phone.to_string(), text);
            assert_eq!(phone.whole().is_some(), !text.contains('*'));
            assert!(format!("{phone:?}").contains("***"));
        }
        for text in ["", "+84", "+8498***456", "+849***4567", "+8498**4567", "8498***4567"] {
            assert_eq!(RecordedPhone::from_record(text), None, "{text:?}");
        }
    }

    #[test]
    fn other_text_is_refused_with_its_reason() {
        let plan = CarrierPlan::vietnam();
        for (text, error) in [
            ("", PhoneError::NotVietnamese),
            ("0981234567", PhoneError::NotVietnamese),
            ("84981234567", PhoneError::NotVietnamese),
            (" +84981234567", PhoneError::NotVietnamese),
            ("+85981234567", PhoneError::NotVietnamese),
            ("+84 981234567", PhoneError::NotNineDigits),
            ("+84-98-123-4567", PhoneError::NotNineDigits),
            ("+8498123456", PhoneError::NotNineDigits),
            ("+849812345678", PhoneError::NotNineDigits),
            ("+84٩٨١٢٣٤٥٦٧", PhoneError::NotNineDigits),
            ("+84981234567\n", PhoneError::NotNineDigits),
            ("+840981234567", PhoneError::NotNineDigits),
            ("+84241234567", PhoneError::NotMobile),
            ("+84000000000", PhoneError::NotMobile),
        ] {
            assert_eq!(Phone::parse(text, &plan), Err(error), "{text:?}");
        }
    }
}
