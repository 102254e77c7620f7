//! `Idempotency-Key`: a repeated request receives the response of the first one, and places no call.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::account::api_key::ApiKey;
use crate::ids::KeyId;

/// How long a response is stored under its key.
pub const RETENTION_MS: i64 = 24 * 3_600_000;
/// The longest key, in characters.
pub const MAX_KEY_LENGTH: usize = 255;

/// The value of an `Idempotency-Key` header: 1 to 255 printable ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IdempotencyKey(Arc<str>);

/// The value is empty, too long, or contains other characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an idempotency key must be 1 to 255 printable ASCII characters")]
pub struct MalformedIdempotencyKey;

impl IdempotencyKey {
    /// Parses the value of the header, without surrounding blanks.
    ///
    /// # Errors
    /// [`MalformedIdempotencyKey`].
    pub fn parse(value: &[u8]) -> Result<IdempotencyKey, MalformedIdempotencyKey> {
        let is_printable = |byte: &u8| matches!(byte, b' '..=b'~');
        let is_valid =
            (1..=MAX_KEY_LENGTH).contains(&value.len()) && value.iter().all(is_printable);
        match std::str::from_utf8(value) {
            Ok(text) if is_valid => Ok(IdempotencyKey(text.into())),
            Ok(_) | Err(_) => Err(MalformedIdempotencyKey),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The content of a request in 32 bytes. Equal if and only if API key and body are equal.
///
/// It is stored for a day, and a body contains a code of 4 to 8 digits and a phone that another table holds in clear.
/// With a plain hash, a reader of the database could find the code by trying all codes. So it is an HMAC-SHA256 whose
/// key is the text of the API key. That text comes with each request and is never stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a request to send an OTP.
    pub fn of(api_key: &ApiKey, body: &[u8]) -> Fingerprint {
        Fingerprint(hmac(api_key.reveal().as_bytes(), body))
    }

    /// Of a request to another route: equal bodies on different routes have different fingerprints.
    pub fn of_route(api_key: &ApiKey, route: &str, body: &[u8]) -> Fingerprint {
        let key = Zeroizing::new(hmac(api_key.reveal().as_bytes(), route.as_bytes()));
        Fingerprint(hmac(key.as_ref(), body))
    }

    /// A fingerprint as it is stored.
    pub fn from_record(bytes: [u8; 32]) -> Fingerprint {
        Fingerprint(bytes)
    }

    /// The bytes as they are stored.
    pub fn as_record(&self) -> &[u8; 32] {
        &self.0
    }
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(hidden)")
    }
}

/// How long a response stays stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// [`RETENTION_MS`].
    Day,
    /// As long as the OTP holds its phone's window. The next OTP that claims the window replaces the response: the claim
    /// proves that the earlier window is over.
    PhoneWindow,
}

/// A request that may be repeated: the API key, the idempotency key and the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// The API key, or the integration in its place.
    pub key_id: KeyId,
    pub key: IdempotencyKey,
    pub fingerprint: Fingerprint,
    pub lifetime: Lifetime,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::api_key::KeyMode;

    #[test]
    fn a_key_is_1_to_255_printable_ascii_characters() {
        let longest = "k".repeat(255);
        for valid in ["a", "order 42: {\"try\":1}~", longest.as_str()] {
            let key = IdempotencyKey::parse(valid.as_bytes()).unwrap();
            assert_eq!(key.as_str(), valid);
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
    fn a_fingerprint_differs_by_key_and_by_body_and_reveals_neither() {
        let api_key = |salt: u8| {
            let random: Vec<u8> = (0..64).map(|n| n * 3 + salt).collect();
            ApiKey::from_random(KeyMode::Live, &random).unwrap()
        };
        let body = br#"{"phone":"+84981234567","code":"482917"}"#;
        let first = Fingerprint::of(&api_key(0), body);
        assert_eq!(first, Fingerprint::of(&api_key(0), body));
        assert_ne!(first, Fingerprint::of(&api_key(1), body));
        assert_ne!(first, Fingerprint::of(&api_key(0), &body[1..]));
        let routed = Fingerprint::of_route(&api_key(0), "verifications", body);
        assert_ne!(routed, first);
        assert_ne!(routed, Fingerprint::of_route(&api_key(0), "others", body));
        assert_ne!(routed, Fingerprint::of_route(&api_key(1), "verifications", body));
        assert_eq!(first, Fingerprint::from_record(*first.as_record()));
        assert_eq!(format!("{first:?}"), "Fingerprint(hidden)");
    }
}
