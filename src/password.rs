//! Account passwords: Argon2id hashes in the PHC string format.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use nexo_domain::account::password;
use nexo_domain::account::password::{PasswordContext, PasswordRefused};
use thiserror::Error;

/// OWASP's minimum for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// Why a password was not hashed. Never contains the password.
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

/// Hashes a new password with a random salt.
///
/// Takes tens of milliseconds of CPU time.
///
/// # Errors
/// If the password breaks a rule.
pub fn hash(password: &str, context: &PasswordContext<'_>) -> Result<String, PasswordError> {
    password::check(password, context)?;
    let hash =
        argon2id()?.hash_password(password.as_bytes()).map_err(|_| PasswordError::NotHashed)?;
    Ok(hash.to_string())
}

/// Whether `hash` is this password's hash. Takes as long as [`hash()`], whatever the result. A malformed hash matches
/// no password.
pub fn verify(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    // The hash contains its parameters.
    password.len() <= password::MAX_BYTES
        && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// Derives a 32-byte key from a password.
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
    fn a_password_is_stored_as_argon2id_and_verified() {
        let stored = hash("correct horse", &PasswordContext::default()).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse", &stored));
        assert!(!verify("correct horsf", &stored));
        assert!(!verify("correct horse", "no hash"));
        assert_ne!(hash("correct horse", &PasswordContext::default()).unwrap(), stored);
    }

    #[test]
    fn a_password_that_breaks_a_rule_is_refused() {
        let short = PasswordError::Refused(PasswordRefused::TooShort);
        assert_eq!(hash("123456789", &PasswordContext::default()), Err(short));
    }

    #[test]
    fn a_key_depends_on_the_password_and_the_salt() {
        let key = derive_key("correct horse", &[1; 16]).unwrap();
        assert_eq!(*key, *derive_key("correct horse", &[1; 16]).unwrap());
        assert_ne!(*key, *derive_key("correct horse", &[2; 16]).unwrap());
        assert_ne!(*key, *derive_key("correct horsf", &[1; 16]).unwrap());
    }
}
