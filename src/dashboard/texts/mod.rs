//! Every string of the site, in both languages. A file for the texts of each page.
//!
//! `{name}` stands for a value, the same ones in both languages. [`Say`] reads a text in a language.

use std::fmt::Display;

use nexo_domain::otp::Language;

/// A string in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    pub en: &'static str,
    pub vi: &'static str,
}

/// A language says a text.
pub trait Say {
    /// The text as it is.
    fn say(self, text: Text) -> &'static str;

    /// The text with its values in their places.
    fn tell(self, text: Text, values: &[(&str, &dyn Display)]) -> String;
}

impl Say for Language {
    fn say(self, text: Text) -> &'static str {
        match self {
            Language::En => text.en,
            Language::Vi => text.vi,
        }
    }

    fn tell(self, text: Text, values: &[(&str, &dyn Display)]) -> String {
        let mut told = String::new();
        let mut rest = self.say(text);
        while let Some((before, after)) = rest.split_once('{') {
            told.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                break;
            };
            if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                told.push_str(&value.to_string());
            }
            rest = after;
        }
        told.push_str(rest);
        told
    }
}

/// Texts by name: `NAME = "English", "tiếng Việt";`. Their test asks that both languages have the same values.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $en:literal, $vi:literal;)+) => {
        $(
            $(#[$doc])*
            pub const $name: $crate::dashboard::texts::Text =
                $crate::dashboard::texts::Text { en: $en, vi: $vi };
        )+

        /// All texts of this file, by name.
        #[cfg(test)]
        pub const ALL: &[(&str, $crate::dashboard::texts::Text)] =
            &[$((stringify!($name), $name)),+];

        #[cfg(test)]
        mod tests {
            #[test]
            fn both_languages_are_there_and_have_the_same_values() {
                $crate::dashboard::texts::check(super::ALL);
            }
        }
    };
}

/// What holds for all texts.
#[cfg(test)]
pub fn check(texts: &[(&str, Text)]) {
    let values = |text: &str| {
        let mut names: Vec<String> = text
            .split('{')
            .skip(1)
            .map(|after| after.split_once('}').expect("a closed value").0.to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    };
    for (name, text) in texts {
        assert!(
            !text.en.trim().is_empty() && !text.vi.trim().is_empty(),
            "{name}"
        );
        assert_eq!(values(text.en), values(text.vi), "{name}");
    }
}

pub mod accounts;
pub mod deliveries;
pub mod docs;
pub mod errors;
pub mod frame;
pub mod keys;
pub mod landing;
pub mod operators;
pub mod overview;
pub mod referrals;
pub mod settings;
pub mod wallet;
pub mod webhooks;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_each_language_puts_them() {
        let text = Text {
            en: "{count} of {most} keys",
            vi: "{most} khóa, đang dùng {count}",
        };
        let values: [(&str, &dyn Display); 2] = [("count", &3), ("most", &10)];
        assert_eq!(Language::En.tell(text, &values), "3 of 10 keys");
        assert_eq!(Language::Vi.tell(text, &values), "10 khóa, đang dùng 3");
    }
}
