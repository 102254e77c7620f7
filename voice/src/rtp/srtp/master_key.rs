//! The crypto suites, and the master key in the form of SDES (RFC 4568 §6.1, §6.2; RFC 6188 §4).

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rand::CryptoRng;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

pub(super) const MAX_KEY_BYTES: usize = 32;
pub(super) const SALT_BYTES: usize = 14;
/// The length of the longest key and salt in base64.
const MAX_INLINE_CHARS: usize = 64;
/// Some far ends omit the padding of 46 bytes.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A crypto suite: how packets are encrypted and authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Suite {
    /// AES-128, tags of 80 bits.
    AesCm128HmacSha1_80,
    /// AES-128, tags of 32 bits on RTP and of 80 bits on RTCP.
    AesCm128HmacSha1_32,
    /// AES-256, tags of 80 bits.
    AesCm256HmacSha1_80,
}

impl Suite {
    /// All supported suites.
    pub const ALL: [Suite; 3] =
        [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32, Suite::AesCm256HmacSha1_80];

    /// Returns the name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::AesCm256HmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
        }
    }

    /// Finds the suite with this name. Case is ignored, because the words of SDES are ABNF literals
    /// (RFC 4568 §9).
    pub fn from_name(name: &str) -> Option<Suite> {
        let mut suites = Suite::ALL.into_iter();
        suites.find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// The length of the master key and of the session key.
    pub fn key_bytes(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => 16,
            Suite::AesCm256HmacSha1_80 => 32,
        }
    }

    /// The length of the master salt and of the session salt.
    pub fn salt_bytes(self) -> usize {
        SALT_BYTES
    }

    /// The length of the tag that is appended to an RTP packet.
    pub fn rtp_tag_bytes(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm256HmacSha1_80 => 10,
            Suite::AesCm128HmacSha1_32 => 4,
        }
    }
}

/// Why an `inline:` value is not a valid key. Contains nothing of the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum InlineError {
    #[error("the key is not base64")]
    NotBase64,
    #[error("the length of key and salt does not match the suite")]
    Length,
    #[error("the lifetime is neither a number nor a power of two")]
    Lifetime,
    #[error("it has a master key identifier (MKI), which is not supported")]
    MasterKeyIdentifier,
}

/// The key and salt from which the session keys of one direction are derived. Its memory is wiped
/// on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    /// A shorter key is followed by zeros.
    key: [u8; MAX_KEY_BYTES],
    salt: [u8; SALT_BYTES],
}

impl MasterKey {
    /// Generates a key.
    pub fn random<R: CryptoRng + ?Sized>(suite: Suite, rng: &mut R) -> MasterKey {
        let mut master = MasterKey::zeros(suite);
        rng.fill_bytes(&mut master.key[..suite.key_bytes()]);
        rng.fill_bytes(&mut master.salt);
        master
    }

    /// Parses the value after `inline:`: base64 of key‖salt, and an optional lifetime. Only the
    /// form of the lifetime is checked, because a key is not changed within a call.
    ///
    /// # Errors
    /// [`InlineError`]; also for a master key identifier, which is not supported.
    pub fn from_inline(suite: Suite, value: &str) -> Result<MasterKey, InlineError> {
        let mut fields = value.split('|');
        let key_and_salt = fields.next().unwrap_or_default();
        let mut has_lifetime = false;
        for field in fields {
            if field.contains(':') {
                return Err(InlineError::MasterKeyIdentifier);
            }
            if has_lifetime || !is_lifetime(field) {
                return Err(InlineError::Lifetime);
            }
            has_lifetime = true;
        }
        if key_and_salt.len() > MAX_INLINE_CHARS {
            return Err(InlineError::Length);
        }
        let mut bytes = Zeroizing::new([0; MAX_INLINE_CHARS / 4 * 3]);
        let length = BASE64
            .decode_slice(key_and_salt, &mut bytes[..])
            .map_err(|_| InlineError::NotBase64)?;
        MasterKey::from_bytes(suite, &bytes[..length])
    }

    /// Returns base64 of key‖salt, the value after `inline:`.
    pub fn to_inline(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; MAX_KEY_BYTES + SALT_BYTES]);
        let (key, length) = (self.suite.key_bytes(), self.suite.key_bytes() + SALT_BYTES);
        bytes[..key].copy_from_slice(&self.key[..key]);
        bytes[key..length].copy_from_slice(&self.salt);
        Zeroizing::new(BASE64.encode(&bytes[..length]))
    }

    pub fn suite(&self) -> Suite {
        self.suite
    }

    pub(super) fn key(&self) -> &[u8; MAX_KEY_BYTES] {
        &self.key
    }

    pub(super) fn salt(&self) -> &[u8; SALT_BYTES] {
        &self.salt
    }

    pub(super) fn from_bytes(suite: Suite, bytes: &[u8]) -> Result<MasterKey, InlineError> {
        if bytes.len() != suite.key_bytes() + SALT_BYTES {
            return Err(InlineError::Length);
        }
        let (key, salt) = bytes.split_at(suite.key_bytes());
        let mut master = MasterKey::zeros(suite);
        master.key[..key.len()].copy_from_slice(key);
        master.salt.copy_from_slice(salt);
        Ok(master)
    }

    fn zeros(suite: Suite) -> MasterKey {
        MasterKey { suite, key: [0; MAX_KEY_BYTES], salt: [0; SALT_BYTES] }
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({:?}, hidden)", self.suite)
    }
}

/// Whether the field is a lifetime: `2^20`, or a number of packets, of at most 20 digits (RFC 4568
/// §6.1).
fn is_lifetime(field: &str) -> bool {
    let digits = field.strip_prefix("2^").unwrap_or(field);
    (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const INLINE_128: &str = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";

    fn bytes(master: &MasterKey) -> Vec<u8> {
        [&master.key[..master.suite.key_bytes()], &master.salt].concat()
    }

    #[test]
    fn a_suite_is_found_by_its_name_only() {
        for suite in Suite::ALL {
            assert_eq!(Suite::from_name(suite.name()), Some(suite));
            assert_eq!(Suite::from_name(&suite.name().to_lowercase()), Some(suite));
        }
        assert_eq!(Suite::from_name("F8_128_HMAC_SHA1_80"), None);
        assert_eq!(Suite::from_name("AEAD_AES_128_GCM"), None);
    }

    #[test]
    fn an_inline_key_is_key_and_salt_in_base64() {
        let master = MasterKey::from_inline(Suite::AesCm128HmacSha1_80, INLINE_128).unwrap();
        assert_eq!(&bytes(&master)[..], b"=-n@%^x!Bjufr9)?,#5h\\`=&]{qiPQ");
        assert_eq!(*master.to_inline(), INLINE_128);
    }

    #[test]
    fn a_lifetime_is_ignored_and_an_identifier_rejected() {
        for (tail, outcome) in [
            ("|2^20", Ok(())),
            ("|1048576", Ok(())),
            ("|2^20|1:32", Err(InlineError::MasterKeyIdentifier)),
            ("|1:4", Err(InlineError::MasterKeyIdentifier)),
            ("|", Err(InlineError::Lifetime)),
            ("|2^", Err(InlineError::Lifetime)),
            ("|3^20", Err(InlineError::Lifetime)),
            ("|2^20|2^20", Err(InlineError::Lifetime)),
            ("|123456789012345678901", Err(InlineError::Lifetime)),
        ] {
            let value = format!("{INLINE_128}{tail}");
            let read = MasterKey::from_inline(Suite::AesCm128HmacSha1_32, &value);
            assert_eq!(read.map(|_| ()), outcome, "{tail}");
        }
    }

    #[test]
    fn a_key_of_another_length_or_alphabet_is_rejected() {
        for (suite, value, error) in [
            (Suite::AesCm256HmacSha1_80, INLINE_128, InlineError::Length),
            (Suite::AesCm128HmacSha1_80, "", InlineError::Length),
            (Suite::AesCm128HmacSha1_80, &INLINE_128[4..], InlineError::Length),
            (Suite::AesCm128HmacSha1_80, &"A".repeat(4_000), InlineError::Length),
            (Suite::AesCm128HmacSha1_80, &"A".repeat(61), InlineError::NotBase64),
            (Suite::AesCm128HmacSha1_80, &INLINE_128.replace('P', "-"), InlineError::NotBase64),
        ] {
            let read = MasterKey::from_inline(suite, value);
            assert_eq!(read.map(|_| ()), Err(error), "{value}");
        }
    }

    #[test]
    fn the_padding_may_be_omitted() {
        let suite = Suite::AesCm256HmacSha1_80;
        let master = MasterKey::random(suite, &mut StdRng::seed_from_u64(1));
        let inline = master.to_inline();
        let bare = inline.strip_suffix("==").unwrap();
        let read = MasterKey::from_inline(suite, bare).unwrap();
        assert_eq!(bytes(&read), bytes(&master));
    }

    #[test]
    fn every_byte_of_a_random_key_is_random() {
        for suite in Suite::ALL {
            let mut rng = StdRng::seed_from_u64(7);
            let keys: Vec<_> = (0..8).map(|_| bytes(&MasterKey::random(suite, &mut rng))).collect();
            for at in 0..suite.key_bytes() + suite.salt_bytes() {
                assert!(keys.iter().any(|key| key[at] != keys[0][at]), "{at}");
            }
        }
    }

    #[test]
    fn debug_hides_the_key() {
        let master = MasterKey::from_inline(Suite::AesCm128HmacSha1_80, INLINE_128).unwrap();
        let shown = format!("{master:?}");
        assert_eq!(shown, "MasterKey(AesCm128HmacSha1_80, hidden)");
    }

    proptest! {
        #[test]
        fn a_written_key_is_parsed_back(seed: u64, at in 0usize..3) {
            let master = MasterKey::random(Suite::ALL[at], &mut StdRng::seed_from_u64(seed));
            let read = MasterKey::from_inline(Suite::ALL[at], &master.to_inline()).unwrap();
            prop_assert_eq!(bytes(&read), bytes(&master));
        }

        #[test]
        fn no_text_makes_the_parser_panic(value in "[ -~]{0,80}", at in 0usize..3) {
            let _ = MasterKey::from_inline(Suite::ALL[at], &value);
        }
    }
}
