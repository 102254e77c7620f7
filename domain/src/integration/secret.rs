//! The secret that an auth server and an integration share.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::kind::{Kind, ProofScheme};

/// The beginning of a secret in Supabase's form of the Standard Webhooks; the rest is the Base64 of the HMAC's key.
const STANDARD_PREFIX: &str = "v1,whsec_";
/// The beginning of the secrets that we make for the other kinds, so that scanners of source code find one.
const OWN_PREFIX: &str = "hook_";
/// The random bytes of a new secret.
pub const RANDOM_LEN: usize = 32;
/// The characters of a secret that is sent in a header, or used as the key itself.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=256;
/// The bytes of a key of the Standard Webhooks.
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 8..=256;

/// A secret in the form of its kind. `Debug` hides it, and its memory is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret {
    kind: Kind,
    text: Zeroizing<String>,
    /// The key of signatures.
    key: Zeroizing<Vec<u8>>,
}

/// The text is no secret of its kind. It contains nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretError {
    #[error(
        "a secret of this kind is v1,whsec_ and the Base64 of 8 to 256 bytes, as Supabase shows it"
    )]
    NotStandard,
    #[error("a secret is 8 to 256 visible ASCII characters without blanks")]
    NotVisible,
}

impl HookSecret {
    /// Checks a secret that the customer gives. `whsec_…` counts as `v1,whsec_…`.
    ///
    /// # Errors
    /// What a secret of the kind looks like.
    pub fn parse(kind: Kind, text: &str) -> Result<HookSecret, SecretError> {
        let text = text.trim();
        if kind.proof() == ProofScheme::StandardWebhooks {
            let encoded = text.strip_prefix("v1,").unwrap_or(text).strip_prefix("whsec_");
            let encoded = encoded.ok_or(SecretError::NotStandard)?;
            let key = STANDARD.decode(encoded).map(Zeroizing::new);
            let key = key.map_err(|_| SecretError::NotStandard)?;
            if !KEY_LENGTHS.contains(&key.len()) {
                return Err(SecretError::NotStandard);
            }
            let text = Zeroizing::new(format!("{STANDARD_PREFIX}{encoded}"));
            return Ok(HookSecret { kind, text, key });
        }
        if !LENGTHS.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SecretError::NotVisible);
        }
        let key = Zeroizing::new(text.as_bytes().to_vec());
        Ok(HookSecret { kind, text: Zeroizing::new(text.to_owned()), key })
    }

    /// Makes a secret from random bytes.
    pub fn from_random(kind: Kind, random: &[u8; RANDOM_LEN]) -> HookSecret {
        let (text, key) = match kind.proof() {
            ProofScheme::StandardWebhooks => {
                (format!("{STANDARD_PREFIX}{}", STANDARD.encode(random)), random.to_vec())
            }
            _ => {
                let text = format!("{OWN_PREFIX}{}", hex::encode(random));
                let key = text.as_bytes().to_vec();
                (text, key)
            }
        };
        HookSecret { kind, text: Zeroizing::new(text), key: Zeroizing::new(key) }
    }

    /// The whole secret. It is shown once.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The key of signatures.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The SHA-256 of the text. For kinds without a signature only this is stored.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }
}

/// Whether the text hashes to `hash`. Runs in constant time.
pub(super) fn has_hash(text: &str, hash: &[u8; 32]) -> bool {
    Sha256::digest(text.as_bytes()).as_slice().ct_eq(hash).into()
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HookSecret({}, hidden)", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_has_the_form_of_its_kind_and_is_read_back() {
        let random = [7; RANDOM_LEN];
        for kind in Kind::ALL {
            let secret = HookSecret::from_random(kind, &random);
            assert_eq!(HookSecret::parse(kind, secret.reveal()), Ok(secret.clone()), "{kind}");
            assert_eq!(secret.reveal().starts_with("v1,whsec_"), kind == Kind::Supabase);
            let shown = format!("{secret:?}");
            assert!(!shown.contains(&secret.reveal()[9..]), "{shown}");
        }
    }

    #[test]
    fn a_given_secret_is_checked() {
        let standard =
            HookSecret::parse(Kind::Supabase, "whsec_c2VjcmV0LWtleS1vZi0yNC1ieXRlcyE=").unwrap();
        assert_eq!(standard.reveal(), "v1,whsec_c2VjcmV0LWtleS1vZi0yNC1ieXRlcyE=");
        assert_eq!(standard.key(), b"secret-key-of-24-bytes!");
        for text in
            ["", "v1,whsec_", "v1,whsec_!!!!", "whsec_c2hvcnQ=", "c2VjcmV0LWtleS1vZi0yNC1ieXRlcyE="]
        {
            assert_eq!(
                HookSecret::parse(Kind::Supabase, text),
                Err(SecretError::NotStandard),
                "{text:?}"
            );
        }
        assert!(HookSecret::parse(Kind::Logto, " my-own-secret\n").is_ok());
        for text in ["", "short", "with a blank", "đường-mật", &"x".repeat(257)] {
            assert_eq!(
                HookSecret::parse(Kind::Logto, text),
                Err(SecretError::NotVisible),
                "{text:?}"
            );
        }
    }
}
