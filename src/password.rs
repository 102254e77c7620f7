//! Passwords of accounts: Argon2id, kept in PHC's text form.

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use thiserror::Error;

/// The fewest characters of a password.
pub const MIN_CHARACTERS: usize = 10;
/// Longer ones only keep the hash busy.
const MAX_BYTES: usize = 1024;

/// Why a password is refused. Carries nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordError {
    #[error("a password has at least {MIN_CHARACTERS} characters")]
    TooShort,
    #[error("a password has at most {MAX_BYTES} bytes")]
    TooLong,
    #[error("the password could not be hashed")]
    NotHashed,
}

/// Hashes a new password with a salt of its own: Argon2id, 19 MiB, two passes (OWASP's minimum).
///
/// Takes tens of milliseconds of one core.
///
/// # Errors
/// When the password is too short or too long.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    if password.chars().count() < MIN_CHARACTERS {
        return Err(PasswordError::TooShort);
    }
    if password.len() > MAX_BYTES {
        return Err(PasswordError::TooLong);
    }
    let params = Params::new(19_456, 2, 1, None).map_err(|_| PasswordError::NotHashed)?;
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes())
        .map_err(|_| PasswordError::NotHashed)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier;
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    #[test]
    fn a_password_is_kept_as_argon2id_and_recognised() {
        let kept = hash("correct horse").unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        let parsed = PasswordHash::new(&kept).unwrap();
        let verify =
            |password: &str| Argon2::default().verify_password(password.as_bytes(), &parsed);
        assert!(verify("correct horse").is_ok());
        assert!(verify("correct horsf").is_err());
        assert_ne!(hash("correct horse").unwrap(), kept);
    }

    #[test]
    fn a_password_of_the_wrong_length_is_refused() {
        assert_eq!(hash("123456789"), Err(PasswordError::TooShort));
        assert_eq!(hash("ắắắắắắắắắ"), Err(PasswordError::TooShort));
        assert_eq!(hash(&"a".repeat(1025)), Err(PasswordError::TooLong));
    }
}
