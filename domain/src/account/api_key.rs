//! API keys: `sk_live_` or `sk_test_`, 40 random characters and a checksum of six characters.
//!
//! The checksum reveals a mistyped key without a query. Only the SHA-256 of a key is stored.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroize;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKSUM_LEN: usize = 6;
const MIN_BODY: usize = 40;
const MAX_BODY: usize = 128;

/// The random characters of a new key, without its checksum.
pub const RANDOM_LEN: usize = 40;

/// Whether a key calls real phones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyMode {
    /// `sk_live_`: the configured carriers.
    Live,
    /// `sk_test_`: always the sandbox carrier. Free of charge.
    Test,
}

impl KeyMode {
    fn prefix(self) -> &'static str {
        match self {
            KeyMode::Live => "sk_live_",
            KeyMode::Test => "sk_test_",
        }
    }
}

/// The SHA-256 of the whole text of a key. Only this is stored.
pub type KeyHash = [u8; 32];

/// A well-formed API key. `Debug` hides it, and its memory is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    text: String,
    mode: KeyMode,
}

/// The text is not an API key of this product. Contains nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a well-formed API key")]
pub struct MalformedKey;

impl ApiKey {
    /// Creates a key from random bytes. About 3% of the bytes are skipped to keep the characters uniformly
    /// distributed, so `random` must hold more than [`RANDOM_LEN`].
    ///
    /// # Errors
    /// [`MalformedKey`] when `random` holds too few usable bytes.
    pub fn from_random(mode: KeyMode, random: &[u8]) -> Result<ApiKey, MalformedKey> {
        let body: String = random
            .iter()
            .filter(|byte| usize::from(**byte) < ALPHABET.len() * 4)
            .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
            .take(RANDOM_LEN)
            .collect();
        if body.len() < RANDOM_LEN {
            return Err(MalformedKey);
        }
        let mut text = format!("{}{body}", mode.prefix());
        let checksum = checksum(text.as_bytes());
        text.extend(checksum.map(char::from));
        Ok(ApiKey { text, mode })
    }

    /// Parses a key. Refuses a mistyped key by its checksum.
    pub fn parse(text: &str) -> Result<ApiKey, MalformedKey> {
        let (mode, body) = [KeyMode::Live, KeyMode::Test]
            .into_iter()
            .find_map(|mode| text.strip_prefix(mode.prefix()).map(|body| (mode, body)))
            .ok_or(MalformedKey)?;
        if !(MIN_BODY..=MAX_BODY).contains(&body.len())
            || !body.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return Err(MalformedKey);
        }
        let (signed, given) = text.as_bytes().split_at(text.len() - CHECKSUM_LEN);
        if checksum(signed) != given {
            return Err(MalformedKey);
        }
        Ok(ApiKey { text: text.to_owned(), mode })
    }

    pub fn mode(&self) -> KeyMode {
        self.mode
    }

    /// The SHA-256 that is stored for the key.
    pub fn hash(&self) -> KeyHash {
        Sha256::digest(self.text.as_bytes()).into()
    }

    /// The last four characters, to distinguish keys in a list.
    pub fn hint(&self) -> &str {
        &self.text[self.text.len() - 4..]
    }

    /// The whole key. It is shown once.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl Drop for ApiKey {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({:?}, hidden)", self.mode)
    }
}

/// CRC-32 (IEEE) of the preceding text, in base 62, most significant digit first.
fn checksum(text: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut rest = crc32fast::hash(text) as usize;
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> ApiKey {
        let random: Vec<u8> = (0..64).map(|n| n * 3).collect();
        ApiKey::from_random(KeyMode::Live, &random).unwrap()
    }

    #[test]
    fn a_new_key_can_be_parsed() {
        let key = key();
        assert!(key.reveal().starts_with("sk_live_"));
        assert_eq!(key.reveal().len(), "sk_live_".len() + RANDOM_LEN + 6);
        let parsed = ApiKey::parse(key.reveal()).unwrap();
        assert_eq!(parsed, key);
        assert_eq!(parsed.hash(), key.hash());
        assert_eq!(parsed.mode(), KeyMode::Live);
    }

    #[test]
    fn a_live_key_renamed_to_a_test_key_is_refused() {
        let renamed = key().reveal().replace("sk_live_", "sk_test_");
        assert_eq!(ApiKey::parse(&renamed), Err(MalformedKey));
    }

    #[test]
    fn too_few_random_bytes_are_refused() {
        assert!(ApiKey::from_random(KeyMode::Test, &[0; 39]).is_err());
        assert!(ApiKey::from_random(KeyMode::Test, &[255; 200]).is_err());
    }

    #[test]
    fn debug_output_never_contains_the_key() {
        assert_eq!(format!("{:?}", key()), "ApiKey(Live, hidden)");
    }

    proptest! {
        #[test]
        fn a_mistyped_character_is_noticed(position in 8usize..54, typed in "[0-9a-zA-Z]") {
            let key = key();
            let mut text = key.reveal().to_owned();
            text.replace_range(position..=position, &typed);
            prop_assert_eq!(ApiKey::parse(&text).is_ok(), text == key.reveal());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = ApiKey::parse(&text);
        }
    }
}
