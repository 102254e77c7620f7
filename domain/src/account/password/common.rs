//! The list of common passwords, compiled into the program.
//!
//! `common.txt.license` says where the list comes from. `common.txt` is sorted by bytes; a test checks it.

use std::sync::LazyLock;

/// The passwords of the list, in lower case and sorted.
static LIST: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("common.txt").lines().collect());

/// Common passwords of Vietnamese users that the list does not contain.
const VIETNAMESE: [&str; 8] =
    ["anhyeuem", "emyeuanh", "hanoi", "matkhau", "saigon", "toiyeuban", "vietnam", "xinchao"];

/// The number of digits and punctuation marks around a common password that do not make it a better one: enough for
/// a date.
const MAX_TRIVIAL: usize = 8;

/// Whether a password in lower case is a common one, also with digits or punctuation before or after it, with
/// separators within it, or with digits and signs in place of letters (`p@ssw0rd`).
pub(super) fn is_common(lower: &str) -> bool {
    let squashed = squash(lower);
    [lower, &squashed].into_iter().any(|text| {
        let length = text.chars().count();
        let is_trivial = |c: char| !c.is_alphabetic();
        let stems = [text, text.trim_end_matches(is_trivial), text.trim_matches(is_trivial)];
        let is_close = |stem: &&str| length - stem.chars().count() <= MAX_TRIVIAL;
        stems
            .into_iter()
            .filter(is_close)
            .any(|stem| is_listed(stem) || is_listed(&plain_letters(stem)))
    })
}

fn is_listed(text: &str) -> bool {
    LIST.binary_search(&text).is_ok() || VIETNAMESE.contains(&text)
}

/// The letters and digits of a text.
pub(super) fn squash(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The letters that digits and signs commonly stand for.
pub(super) fn plain_letters(text: &str) -> String {
    let letter = |c| match c {
        '@' | '4' => 'a',
        '3' => 'e',
        '1' | '!' => 'i',
        '0' => 'o',
        '$' | '5' => 's',
        '7' => 't',
        other => other,
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_lower_case_and_complete() {
        assert!(LIST.is_sorted());
        assert!(LIST.len() > 10_000, "{}", LIST.len());
        for password in LIST.iter() {
            assert_eq!(*password, password.trim().to_lowercase());
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn a_common_password_is_found_behind_trivial_changes() {
        for password in [
            "password123",
            "qwertyuiop",
            "password2026!",
            "password20261130",
            "p@ssw0rd2026",
            "$unshine2026",
            "2026-dragon-2026",
            "qwerty-uiop",
            "matkhau123",
        ] {
            assert!(is_common(password), "{password}");
        }
        for password in [
            "correct horse battery",
            "another password",
            "brand new password",
            "dragons eat lunch",
            "9f8a7c2b1d",
        ] {
            assert!(!is_common(password), "{password}");
        }
    }
}
