//! Every string of the site in both languages, in one file per group of pages.
//!
//! `{name}` stands for a value; both languages have the same values. [`Translate`] selects the language.

use figures::Value;
use nexo_domain::otp::Language;

/// A string in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    pub en: &'static str,
    pub vi: &'static str,
}

/// Selects a text in a language, or in the language of a locale.
pub trait Translate: Into<Language> + Copy {
    /// The text in this language.
    fn t(self, text: Text) -> &'static str {
        match self.into() {
            Language::En => text.en,
            Language::Vi => text.vi,
        }
    }

    /// The text in this language with its values inserted, as the language writes them.
    fn t_with(self, text: Text, values: &[(&str, &dyn Value)]) -> String {
        let mut result = String::new();
        let mut rest = self.t(text);
        while let Some((before, after)) = rest.split_once('{') {
            result.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                break;
            };
            if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                result.push_str(&value.write(self.into()));
            }
            rest = after;
        }
        result.push_str(rest);
        result
    }
}

impl<L: Into<Language> + Copy> Translate for L {}

/// Declares texts by name: `NAME = "English", "tiếng Việt";`. A test checks that both languages have the same
/// values.
macro_rules! texts {
    ($($name:ident = $en:literal, $vi:literal;)+) => {
        $(
            pub const $name: $crate::dashboard::texts::Text =
                $crate::dashboard::texts::Text { en: $en, vi: $vi };
        )+

        #[cfg(test)]
        mod tests {
            #[test]
            fn both_languages_have_the_same_values() {
                $crate::dashboard::texts::check(&[$((stringify!($name), super::$name)),+]);
            }
        }
    };
}

/// Checks that each text exists in both languages with the same values.
#[cfg(test)]
fn check(texts: &[(&str, Text)]) {
    let values = |text: &str| {
        let after_braces = text.split('{').skip(1);
        let names =
            after_braces.map(|after| after.split_once('}').expect("a closed value").0.to_owned());
        names.collect::<std::collections::BTreeSet<String>>()
    };
    for (name, text) in texts {
        assert!(!text.en.trim().is_empty() && !text.vi.trim().is_empty(), "{name}");
        assert_eq!(values(text.en), values(text.vi), "{name}");
    }
}

pub mod account;
pub mod accounts;
pub mod deliveries;
pub mod developer;
pub mod errors;
pub mod figures;
pub mod frame;
pub mod landing;
pub mod operators;
pub mod overview;
pub mod referrals;
pub mod verifications;
pub mod wallet;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_inserted_where_each_language_has_them() {
        let text = Text { en: "{count} of {most} keys", vi: "{most} khóa, đang dùng {count}" };
        let values: [(&str, &dyn Value); 2] = [("count", &3), ("most", &10)];
        assert_eq!(Language::En.t_with(text, &values), "3 of 10 keys");
        assert_eq!(Language::Vi.t_with(text, &values), "10 khóa, đang dùng 3");
    }
}
