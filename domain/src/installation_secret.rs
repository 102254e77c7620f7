//! The secret of an installation. Keys are derived from it, one for each purpose, so that nothing that depends on it is
//! stored: the codes of verifications, for example, are computed.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// The length of the secret and of every derived key, in bytes.
pub const KEY_BYTES: usize = 32;
/// The purpose of [`InstallationSecret::check_value`].
const CHECK: &str = "check";

/// 32 random bytes, the same on all nodes of a database. `Debug` hides them, and their memory is wiped on drop.
#[derive(Clone)]
pub struct InstallationSecret([u8; KEY_BYTES]);

/// The text is not a secret. Contains nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a secret has 64 hexadecimal digits")]
pub struct MalformedSecret;

impl InstallationSecret {
    pub fn from_random(random: [u8; KEY_BYTES]) -> InstallationSecret {
        InstallationSecret(random)
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`MalformedSecret`].
    pub fn from_hex(text: &str) -> Result<InstallationSecret, MalformedSecret> {
        let mut secret = InstallationSecret([0; KEY_BYTES]);
        hex::decode_to_slice(text, &mut secret.0).map_err(|_| MalformedSecret)?;
        Ok(secret)
    }

    /// The 64 hexadecimal digits that [`InstallationSecret::from_hex`] reads.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0))
    }

    /// The key for one purpose: the HMAC-SHA256 of the purpose's name. Keys of different purposes reveal nothing of
    /// each other or of the secret.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// A value that is equal for equal secrets. It may be stored: it reveals nothing of the secret.
    pub fn check_value(&self) -> [u8; KEY_BYTES] {
        *self.derive(CHECK)
    }
}

impl Drop for InstallationSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for InstallationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallationSecret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_64_hexadecimal_digits() {
        let text = "00ff".repeat(16);
        let secret = InstallationSecret::from_hex(&text).unwrap();
        assert_eq!(*secret.to_hex(), text);
        assert!(InstallationSecret::from_hex(&text.to_uppercase()).is_ok());
        for text in ["", &text[2..], &format!("{text}00"), &text.replace('f', "g"), "secret"] {
            assert!(InstallationSecret::from_hex(text).is_err(), "{text}");
        }
        assert_eq!(format!("{secret:?}"), "InstallationSecret(hidden)");
    }

    #[test]
    fn each_purpose_and_each_secret_has_its_own_key() {
        let one = InstallationSecret::from_random([1; KEY_BYTES]);
        let other = InstallationSecret::from_random([2; KEY_BYTES]);
        assert_eq!(one.derive("a"), one.derive("a"));
        assert_ne!(one.derive("a"), one.derive("b"));
        assert_ne!(one.derive("a"), other.derive("a"));
        assert_ne!(one.check_value(), other.check_value());
        assert_eq!(one.check_value(), one.clone().check_value());
    }

    #[test]
    fn a_key_is_the_hmac_of_its_purpose() {
        // Computed with `openssl dgst -sha256 -mac HMAC -macopt hexkey:0101…`.
        let secret = InstallationSecret::from_random([1; KEY_BYTES]);
        let expected = "48cfc3a85ea936e2df42eb075ca36554440e4a485a5a68345e1e8566c8d2f738";
        assert_eq!(hex::encode(secret.derive("check").as_slice()), expected);
    }
}
