//! Passwords of accounts: Argon2id, kept in PHC's text form.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use nexo_domain::account::password;
use nexo_domain::account::password::PasswordRefused;
use thiserror::Error;

/// OWASP's minimum for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// Why there is no hash. Carries nothing of the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordError {
    #[error(transparent)]
    Refused(#[from] PasswordRefused),
    #[error("the password could not be hashed")]
    NotHashed,
}

fn argon2id() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| PasswordError::NotHashed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Hashes a new password of the account with this address, with a salt of its own.
///
/// Takes tens of milliseconds of one core.
///
/// # Errors
/// When the password breaks a rule.
pub fn hash(password: &str, email: &str) -> Result<String, PasswordError> {
    password::check(password, email)?;
    let hash = argon2id()?
        .hash_password(password.as_bytes())
        .map_err(|_| PasswordError::NotHashed)?;
    Ok(hash.to_string())
}

/// Whether `kept` is this password's hash. Takes as long as [`hash`], whatever the answer; a text that is no
/// hash is nobody's password.
pub fn verify(password: &str, kept: &str) -> bool {
    let Ok(kept) = PasswordHash::new(kept) else {
        return false;
    };
    // The hash names its own parameters.
    password.len() <= password::MAX_BYTES
        && Argon2::default()
            .verify_password(password.as_bytes(), &kept)
            .is_ok()
}

/// A key of 32 bytes out of a password, for what only its owner may read.
///
/// # Errors
/// [`PasswordError::NotHashed`] for a salt of less than 8 bytes.
pub fn derive_key(
    password: &str,
    salt: &[u8],
) -> Result<zeroize::Zeroizing<[u8; 32]>, PasswordError> {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    argon2id()?
        .hash_password_into(password.as_bytes(), salt, key.as_mut())
        .map_err(|_| PasswordError::NotHashed)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_as_argon2id_and_recognised() {
        let kept = hash("correct horse", "").unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        assert!(verify("correct horse", &kept));
        assert!(!verify("correct horsf", &kept));
        assert!(!verify("correct horse", "no hash"));
        assert_ne!(hash("correct horse", "").unwrap(), kept);
    }

    #[test]
    fn a_password_that_breaks_a_rule_is_refused() {
        let short = PasswordError::Refused(PasswordRefused::TooShort);
        assert_eq!(hash("123456789", ""), Err(short));
    }

    #[test]
    fn a_key_is_of_its_password_and_its_salt() {
        let key = derive_key("correct horse", &[1; 16]).unwrap();
        assert_eq!(*key, *derive_key("correct horse", &[1; 16]).unwrap());
        assert_ne!(*key, *derive_key("correct horse", &[2; 16]).unwrap());
        assert_ne!(*key, *derive_key("correct horsf", &[1; 16]).unwrap());
    }
}
