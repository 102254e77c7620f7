//! The rules for a new password. Hashing is done elsewhere.
//!
//! Only length and guessability matter (NIST SP 800-63B §3.1.1.2, OWASP ASVS 5.0 §6.2). No character classes are
//! required. The rules apply to new passwords only: an older password that breaks them still signs in.

use thiserror::Error;

mod common;

use common::{is_common, plain_letters, squash};

/// The minimum length of a password, in characters.
pub const MIN_CHARACTERS: usize = 10;
/// The maximum length in bytes. Longer passwords only make hashing slow.
pub const MAX_BYTES: usize = 1024;

/// A password with fewer different characters is refused.
const MIN_DISTINCT: usize = 4;
/// The shortest word that counts as a name. Shorter ones occur within ordinary words.
const MIN_NAME: usize = 4;
/// A password with a name needs this many other characters, besides digits at their ends.
const MIN_BESIDES_NAME: usize = 6;
/// The names of the product.
const PRODUCT: [&str; 3] = ["nexoroute", "nexo", "route"];

/// Why a password is refused. Contains nothing of the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordRefused {
    #[error("a password has at least {MIN_CHARACTERS} characters")]
    TooShort,
    #[error("a password has at most {MAX_BYTES} bytes")]
    TooLong,
    #[error(
        "a password must not be a sequence, a repetition of a few characters, or the account's e-mail address"
    )]
    Guessable,
    #[error(
        "this is one of the most common passwords, or one of them with digits or punctuation; choose another one"
    )]
    Common,
    #[error(
        "a password needs more than the name of the product, of this site or of the account; choose another one"
    )]
    Name,
}

/// Whose password it is: names that an attacker tries first.
#[derive(Debug, Clone, Copy, Default)]
pub struct PasswordContext<'a> {
    /// The account's e-mail address.
    pub email: &'a str,
    /// The host name of the site.
    pub host: &'a str,
}

impl PasswordContext<'_> {
    /// The names in lower case, letters and digits only, longest first.
    fn names(&self) -> Vec<String> {
        let email = self.email.to_lowercase();
        let host = self.host.to_lowercase();
        let (local, domain) = email.split_once('@').unwrap_or((&email, ""));
        let mut names: Vec<String> = PRODUCT.map(str::to_owned).to_vec();
        for text in [local, domain, &host] {
            names.push(squash(text));
            names.extend(text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned));
        }
        names.retain(|name| {
            name.chars().count() >= MIN_NAME && name.chars().any(char::is_alphabetic)
        });
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names
    }
}

/// Checks a new password.
///
/// # Errors
/// The violated rule.
pub fn check(password: &str, context: &PasswordContext<'_>) -> Result<(), PasswordRefused> {
    if password.chars().count() < MIN_CHARACTERS {
        return Err(PasswordRefused::TooShort);
    }
    if password.len() > MAX_BYTES {
        return Err(PasswordRefused::TooLong);
    }
    let lower = password.to_lowercase();
    if is_monotonous(&lower) || lower == context.email.to_lowercase() {
        return Err(PasswordRefused::Guessable);
    }
    if is_common(&lower) {
        return Err(PasswordRefused::Common);
    }
    if is_mostly_a_name(&lower, &context.names()) {
        return Err(PasswordRefused::Name);
    }
    Ok(())
}

/// Whether the text has few different characters, repeats a shorter text, or counts up or down.
fn is_monotonous(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let mut distinct = characters.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let longest_unit = (characters.len() / 2).min(MIN_CHARACTERS - 1);
    let repeats = |unit: usize| {
        let next = characters.iter().skip(unit);
        next.zip(&characters).all(|(a, b)| a == b)
    };
    let counts_by = |step: i64| {
        let pairs = characters.windows(2);
        pairs
            .map(|pair| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0])))
            .all(|difference| difference == step)
    };
    distinct.len() < MIN_DISTINCT
        || (1..=longest_unit).any(repeats)
        || counts_by(1)
        || counts_by(-1)
}

/// Whether little remains of the text without the names, or only a common password.
fn is_mostly_a_name(lower: &str, names: &[String]) -> bool {
    let squashed = squash(lower);
    [plain_letters(&squashed), squashed].iter().any(|text| {
        let mut rest = text.clone();
        for name in names {
            rest = rest.replace(name.as_str(), "");
        }
        let core = rest.trim_matches(|c: char| !c.is_alphabetic());
        rest != *text && (core.chars().count() < MIN_BESIDES_NAME || is_common(&rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: PasswordContext<'_> =
        PasswordContext { email: "Lan.Nguyen@Example.com", host: "otp.vietfone.vn:8443" };

    #[test]
    fn a_password_is_long_enough_and_not_easily_guessed() {
        for (password, answer) in [
            ("123456789", Err(PasswordRefused::TooShort)),
            ("ắắắắắắắắă", Err(PasswordRefused::TooShort)),
            ("aaaaaaaaaaaa", Err(PasswordRefused::Guessable)),
            ("abcabcabcabca", Err(PasswordRefused::Guessable)),
            ("ABCDEFGHIJKL", Err(PasswordRefused::Guessable)),
            ("9876543210", Err(PasswordRefused::Guessable)),
            ("1111222233334", Ok(())),
            ("112211221122a", Err(PasswordRefused::Guessable)),
            ("lan.nguyen@example.COM", Err(PasswordRefused::Guessable)),
            ("correct horse", Ok(())),
            ("mật khẩu của tôi", Ok(())),
        ] {
            assert_eq!(check(password, &CONTEXT), answer, "{password:?}");
        }
        let long = "ab".repeat(513);
        assert_eq!(check(&long, &CONTEXT), Err(PasswordRefused::TooLong));
    }

    #[test]
    fn common_passwords_are_refused_in_any_case_and_with_trivial_suffixes() {
        for password in ["password123", "QwertyUiop", "Password2026!", "P@ssw0rd2026"] {
            let answer = check(password, &CONTEXT);
            assert_eq!(answer, Err(PasswordRefused::Common), "{password}");
        }
    }

    #[test]
    fn names_of_the_product_the_site_and_the_account_are_not_enough() {
        for password in [
            "nexoroute2026",
            "NEXO ROUTE 2026",
            "N3xo-r0ute-2026!",
            "nexopassword1",
            "vietfone2026",
            "otp.vietfone.vn",
            "lannguyen1990",
            "nguyen.lan.1990",
            "example-2026!",
            "lan@example",
        ] {
            let answer = check(password, &CONTEXT);
            assert_eq!(answer, Err(PasswordRefused::Name), "{password}");
        }
        for password in ["nexo sends my codes", "nguyen rides a bicycle"] {
            assert_eq!(check(password, &CONTEXT), Ok(()), "{password}");
        }
    }
}
