//! The one-time code, and how it is read aloud.

use std::fmt;

use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroize;

use crate::schema::{schema, words};

/// The most digits of a code.
pub const MAX_DIGITS: usize = 8;
/// The fewest digits of a code.
pub const MIN_DIGITS: usize = 4;

/// How often a code is read at most before the callee asks for it.
pub const MAX_REPEAT: u8 = 3;

/// A one-time code of 4–8 digits. It is never stored. `Debug` hides it, its memory is wiped on drop, and the time of a
/// comparison does not depend on the digits.
#[derive(Clone)]
pub struct Code {
    digits: [u8; MAX_DIGITS],
    len: u8,
}

/// The text is not a code. Contains nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a code must be 4 to 8 ASCII digits")]
pub struct CodeError;

impl Code {
    /// Parses 4–8 ASCII digits. Digits of other scripts are refused.
    pub fn parse(text: &str) -> Result<Code, CodeError> {
        let bytes = text.as_bytes();
        if !(MIN_DIGITS..=MAX_DIGITS).contains(&bytes.len())
            || !bytes.iter().all(u8::is_ascii_digit)
        {
            return Err(CodeError);
        }
        let mut digits = [0; MAX_DIGITS];
        for (digit, byte) in digits.iter_mut().zip(bytes) {
            *digit = byte - b'0';
        }
        Ok(Code { digits, len: bytes.len() as u8 })
    }

    /// The last `length` decimal digits of a number, with leading zeros.
    ///
    /// # Panics
    /// Unless `length` is 4 to 8.
    pub(crate) fn of_number(number: u64, length: u8) -> Code {
        assert!(
            (MIN_DIGITS..=MAX_DIGITS).contains(&usize::from(length)),
            "a code has 4 to 8 digits"
        );
        let mut code = Code { digits: [0; MAX_DIGITS], len: length };
        let mut rest = number;
        for digit in code.digits[..usize::from(length)].iter_mut().rev() {
            *digit = (rest % 10) as u8;
            rest /= 10;
        }
        rest.zeroize();
        code
    }

    /// The values of the digits, 0–9, in reading order.
    pub fn digits(&self) -> &[u8] {
        &self.digits[..usize::from(self.len)]
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Code) -> bool {
        // Digits that a code does not have are zero.
        (self.digits.ct_eq(&other.digits) & self.len.ct_eq(&other.len)).into()
    }
}

impl Eq for Code {}

impl Drop for Code {
    fn drop(&mut self) {
        self.digits.zeroize();
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(hidden)")
    }
}

/// The language in which a code is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Language {
    /// Northern Vietnamese.
    #[default]
    Vi,
    /// English.
    En,
}

impl Language {
    /// The language with this ISO 639-1 code, `vi` or `en`.
    pub fn from_code(code: &str) -> Option<Language> {
        match code {
            "vi" => Some(Language::Vi),
            "en" => Some(Language::En),
            _ => None,
        }
    }

    /// The language of a locale, such as `vi`, `vi-VN` or `en_US`.
    pub fn of_locale(locale: &str) -> Option<Language> {
        let language = locale.split(['-', '_', '.']).next()?;
        Language::from_code(&language.to_ascii_lowercase())
    }

    /// The ISO 639-1 code.
    pub fn code(self) -> &'static str {
        match self {
            Language::Vi => "vi",
            Language::En => "en",
        }
    }
}

schema!(Language, "Language", words("The voice: Vietnamese or English.", ["vi", "en"]));

/// How a code is read aloud.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    pub language: Language,
    /// How often the code is read. At least once.
    pub repeat: u8,
    /// The minimum silence between two digits.
    pub digit_gap_ms: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_four_to_eight_ascii_digits() {
        assert_eq!(Code::parse("0423").unwrap().digits(), [0, 4, 2, 3]);
        assert_eq!(Code::parse("12345678").unwrap().digits().len(), 8);
        for text in ["", "123", "123456789", "12a4", "12 34", "١٢٣٤", "１２３４", "+123", "1234\n"]
        {
            assert_eq!(Code::parse(text), Err(CodeError), "{text:?}");
        }
    }

    #[test]
    fn codes_are_equal_with_the_same_digits_only() {
        let code = |text| Code::parse(text).unwrap();
        assert_eq!(code("0423"), code("0423"));
        for other in ["0424", "1423", "04230", "042300"] {
            assert_ne!(code("0423"), code(other), "{other}");
        }
    }

    #[test]
    fn a_number_becomes_a_code_with_leading_zeros() {
        for (number, length, text) in
            [(0, 4, "0000"), (42, 6, "000042"), (99_999_999, 8, "99999999"), (123_456, 4, "3456")]
        {
            assert_eq!(Code::of_number(number, length), Code::parse(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn a_locale_begins_with_its_language() {
        for locale in ["vi", "vi-VN", "vi_VN", "VI", "vi-Latn-VN", "vi_VN.UTF-8"] {
            assert_eq!(Language::of_locale(locale), Some(Language::Vi), "{locale}");
        }
        for locale in ["en", "en-US", "en_US", "EN-GB"] {
            assert_eq!(Language::of_locale(locale), Some(Language::En), "{locale}");
        }
        for locale in ["", "fr-FR", "vie", "english", "-vi", "i-en"] {
            assert_eq!(Language::of_locale(locale), None, "{locale}");
        }
    }

    #[test]
    fn debug_output_never_contains_the_code() {
        let code = Code::parse("918273").unwrap();
        assert!(!format!("{code:?}").contains("918273"));
        assert!(!format!("{code:?}").contains('9'));
    }
}
