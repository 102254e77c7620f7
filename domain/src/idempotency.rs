//! `Idempotency-Key`: a request that is sent again has the first one's answer, and rings nobody.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::account::api_key::ApiKey;
use crate::ids::KeyId;

/// For how long an answer is kept under its key.
pub const KEPT_MS: i64 = 24 * 3_600_000;
/// The longest key, in characters.
pub const LONGEST_KEY: usize = 255;

/// The value of an `Idempotency-Key` header: 1 to 255 printable ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IdempotencyKey(Arc<str>);

/// The header's value is empty, too long, or has other characters in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an idempotency key is 1 to 255 printable ASCII characters")]
pub struct MalformedIdempotencyKey;

impl IdempotencyKey {
    /// Reads a header's value, blanks around it being gone already.
    ///
    /// # Errors
    /// [`MalformedIdempotencyKey`].
    pub fn parse(value: &[u8]) -> Result<IdempotencyKey, MalformedIdempotencyKey> {
        let printable = |byte: &u8| matches!(byte, b' '..=b'~');
        let sane = (1..=LONGEST_KEY).contains(&value.len()) && value.iter().all(printable);
        match std::str::from_utf8(value) {
            Ok(text) if sane => Ok(IdempotencyKey(text.into())),
            Ok(_) | Err(_) => Err(MalformedIdempotencyKey),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a request asks for, in 32 bytes: equal where the API key and the body are.
///
/// It is kept for a day, and a body holds a code of 4 to 8 digits and a phone that stands in clear in
/// another table. Of a bare hash anybody who reads the database would find the code by trying all of
/// them. So it is an HMAC-SHA256 whose key is the API key's text: that comes with each request and is
/// never stored, and without it a fingerprint says nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(api_key: &ApiKey, body: &[u8]) -> Fingerprint {
        let mut mac = Hmac::<Sha256>::new_from_slice(api_key.reveal().as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(body);
        Fingerprint(mac.finalize().into_bytes().into())
    }

    /// One as it was stored.
    pub fn from_record(bytes: [u8; 32]) -> Fingerprint {
        Fingerprint(bytes)
    }

    /// The bytes as they are stored.
    pub fn as_record(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(hidden)")
    }
}

/// A request that may be sent again: whose key it carries, which, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    pub key_id: KeyId,
    pub key: IdempotencyKey,
    pub fingerprint: Fingerprint,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::api_key::KeyMode;

    #[test]
    fn a_key_is_1_to_255_printable_ascii_characters() {
        let longest = "k".repeat(255);
        for sane in ["a", "order 42: {\"try\":1}~", longest.as_str()] {
            let key = IdempotencyKey::parse(sane.as_bytes()).unwrap();
            assert_eq!(key.as_str(), sane);
        }
        let too_long = "k".repeat(256);
        for bad in ["", too_long.as_str(), "naïve", "tab\there", "del\u{7f}"] {
            assert_eq!(
                IdempotencyKey::parse(bad.as_bytes()),
                Err(MalformedIdempotencyKey),
                "{bad:?}"
            );
        }
        assert!(IdempotencyKey::parse(b"\xff").is_err());
    }

    #[test]
    fn a_fingerprint_differs_by_key_and_by_body_and_shows_neither() {
        let api_key = |salt: u8| {
            let random: Vec<u8> = (0..64).map(|n| n * 3 + salt).collect();
            ApiKey::from_random(KeyMode::Live, &random).unwrap()
        };
        let body = br#"{"phone":"+84981234567","code":"482917"}"#;
        let first = Fingerprint::of(&api_key(0), body);
        assert_eq!(first, Fingerprint::of(&api_key(0), body));
        assert_ne!(first, Fingerprint::of(&api_key(1), body));
        assert_ne!(first, Fingerprint::of(&api_key(0), &body[1..]));
        assert_eq!(first, Fingerprint::from_record(*first.as_record()));
        assert_eq!(format!("{first:?}"), "Fingerprint(hidden)");
    }
}
