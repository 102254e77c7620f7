//! What a new password must be. How it is hashed is not decided here.

use thiserror::Error;

/// The fewest characters of a password.
pub const MIN_CHARACTERS: usize = 10;
/// The most bytes: longer ones only keep the hash busy.
pub const MAX_BYTES: usize = 1024;

/// Why a password is refused. Carries nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordRefused {
    #[error("a password has at least {MIN_CHARACTERS} characters")]
    TooShort,
    #[error("a password has at most {MAX_BYTES} bytes")]
    TooLong,
    #[error("a password is not one character over and over, nor the account's own address")]
    Guessable,
}

/// Whether `password` may be the new password of the account with this address.
///
/// Length is what counts (NIST SP 800-63B §3.1.1.2); no classes of characters are asked for.
///
/// # Errors
/// The rule that it breaks.
pub fn check(password: &str, email: &str) -> Result<(), PasswordRefused> {
    if password.chars().count() < MIN_CHARACTERS {
        return Err(PasswordRefused::TooShort);
    }
    if password.len() > MAX_BYTES {
        return Err(PasswordRefused::TooLong);
    }
    let mut characters = password.chars();
    let first = characters.next();
    let is_one_character = characters.all(|c| Some(c) == first);
    if is_one_character || password.to_lowercase() == email.to_lowercase() {
        return Err(PasswordRefused::Guessable);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_long_enough_and_no_obvious_guess() {
        for (password, answer) in [
            ("123456789", Err(PasswordRefused::TooShort)),
            ("ắắắắắắắắă", Err(PasswordRefused::TooShort)),
            ("aaaaaaaaaaaa", Err(PasswordRefused::Guessable)),
            ("Ops@Example.com", Err(PasswordRefused::Guessable)),
            ("correct horse", Ok(())),
            ("mật khẩu của tôi", Ok(())),
        ] {
            assert_eq!(check(password, "ops@example.com"), answer, "{password:?}");
        }
        let long = "ab".repeat(513);
        assert_eq!(check(&long, ""), Err(PasswordRefused::TooLong));
    }
}
