//! The `a=crypto:` attribute of SDP (RFC 4568): the SRTP key that its sender encrypts with.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::rtp::srtp::{InlineError, MasterKey, Suite};

/// Tags have at most nine digits (RFC 4568 §9.1).
const MAX_TAG: u32 = 999_999_999;

/// An offered or accepted key. An answer repeats the tag of the offer.
#[derive(Clone, Debug)]
pub struct Crypto {
    /// At most nine digits.
    pub tag: u32,
    pub key: MasterKey,
}

/// Why an attribute cannot be used. Contains none of the attribute's text. Other attributes of the same
/// stream may still be usable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SdesError {
    #[error("the crypto attribute lacks its tag, suite or key")]
    Incomplete,
    #[error("the tag of the crypto attribute must be a number of one to nine digits")]
    Tag,
    #[error("the crypto suite is not supported")]
    Suite,
    #[error("the key method must be inline")]
    KeyMethod,
    #[error("several keys in one crypto attribute are not supported")]
    SeveralKeys,
    #[error("the inline key cannot be used: {0}")]
    Key(#[from] InlineError),
    #[error("a session parameter of the crypto attribute is not supported")]
    SessionParameter,
}

/// Parses the text after `a=crypto:`.
///
/// Of the session parameters, the window size hint and the optional ones (`-…`) are ignored, as RFC 4568
/// §6.3 allows. All others change how packets are protected, and are rejected.
///
/// # Errors
/// [`SdesError`] for the first part that is not supported.
pub fn read(value: &str) -> Result<Crypto, SdesError> {
    let mut words = value.split_ascii_whitespace();
    let mut word = || words.next().ok_or(SdesError::Incomplete);
    let (tag, suite, key_params) = (word()?, word()?, word()?);
    let tag = read_tag(tag)?;
    let suite = Suite::from_name(suite).ok_or(SdesError::Suite)?;
    let (method, inline) = key_params.split_once(':').ok_or(SdesError::KeyMethod)?;
    if !method.eq_ignore_ascii_case("inline") {
        return Err(SdesError::KeyMethod);
    }
    if inline.contains(';') {
        return Err(SdesError::SeveralKeys);
    }
    let key = MasterKey::from_inline(suite, inline)?;
    if !words.all(is_ignorable) {
        return Err(SdesError::SessionParameter);
    }
    Ok(Crypto { tag, key })
}

/// Writes the whole attribute, starting with `a=`, without the line end. The text contains the key.
pub fn write(crypto: &Crypto) -> Zeroizing<String> {
    let (tag, suite) = (crypto.tag.min(MAX_TAG), crypto.key.suite().name());
    let inline = crypto.key.to_inline();
    Zeroizing::new(format!("a=crypto:{tag} {suite} inline:{}", *inline))
}

fn read_tag(text: &str) -> Result<u32, SdesError> {
    let is_tag = text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_tag).ok_or(SdesError::Tag)
}

fn is_ignorable(parameter: &str) -> bool {
    let is_window_size_hint =
        parameter.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("WSH="));
    is_window_size_hint || parameter.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const KEY: &str = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";

    #[test]
    fn an_attribute_of_rfc_4568_is_parsed() {
        let value = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20");
        let crypto = read(&value).unwrap();
        assert_eq!((crypto.tag, crypto.key.suite()), (1, Suite::AesCm128HmacSha1_80));
        assert_eq!(*crypto.key.to_inline(), KEY);
        assert_eq!(*write(&crypto), format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"));
    }

    #[test]
    fn parameters_that_do_not_change_the_protection_are_ignored() {
        for value in [
            format!("007 aes_cm_128_hmac_sha1_32 INLINE:{KEY}"),
            format!(" 999999999  AES_CM_128_HMAC_SHA1_32\tinline:{KEY}|2^31  WSH=64 \r\n"),
            format!("1 AES_CM_128_HMAC_SHA1_32 inline:{KEY} wsh=128 -VENDOR=x"),
        ] {
            let crypto = read(&value).unwrap();
            assert_eq!(crypto.key.suite(), Suite::AesCm128HmacSha1_32, "{value:?}");
        }
    }

    #[test]
    fn an_unsupported_part_is_rejected_by_its_name() {
        let plain = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
        let with = |from: &str, to: &str| plain.replace(from, to);
        for (value, error) in [
            (String::new(), SdesError::Incomplete),
            (with(&format!(" inline:{KEY}"), ""), SdesError::Incomplete),
            (with("1 AES", "x AES"), SdesError::Tag),
            (with("1 AES", "+1 AES"), SdesError::Tag),
            (with("1 AES", "1234567890 AES"), SdesError::Tag),
            (with("AES_CM_128", "F8_128"), SdesError::Suite),
            (with("inline:", "uri:"), SdesError::KeyMethod),
            (with("inline:", ""), SdesError::KeyMethod),
            (format!("{plain}|2^20|1:4;inline:{KEY}|2^20|2:4"), SdesError::SeveralKeys),
            (format!("{plain}|2^20|1:4"), SdesError::Key(InlineError::MasterKeyIdentifier)),
            (with("_CM_128_", "_256_CM_"), SdesError::Key(InlineError::Length)),
            (with(KEY, "?"), SdesError::Key(InlineError::NotBase64)),
            (format!("{plain} KDR=1"), SdesError::SessionParameter),
            (format!("{plain} WSH=64 UNENCRYPTED_SRTP"), SdesError::SessionParameter),
            (format!("{plain} UNENCRYPTED_SRTCP"), SdesError::SessionParameter),
            (format!("{plain} UNAUTHENTICATED_SRTP"), SdesError::SessionParameter),
            (format!("{plain} FEC_ORDER=FEC_SRTP"), SdesError::SessionParameter),
            (format!("{plain} NEW"), SdesError::SessionParameter),
        ] {
            assert_eq!(read(&value).map(|_| ()), Err(error), "{value}");
        }
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_key() {
        let crypto = read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")).unwrap();
        assert!(!format!("{crypto:?}").contains(KEY));
        let error = read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|x")).unwrap_err();
        assert_eq!(error, SdesError::Key(InlineError::Lifetime));
        assert!(!format!("{error} {error:?}").contains(&KEY[..8]));
    }

    proptest! {
        #[test]
        fn a_written_attribute_reads_back(tag in 0..=MAX_TAG, seed: u64, at in 0usize..3) {
            let key = MasterKey::random(Suite::ALL[at], &mut StdRng::seed_from_u64(seed));
            let line = write(&Crypto { tag, key: key.clone() });
            let crypto = read(line.strip_prefix("a=crypto:").unwrap()).unwrap();
            prop_assert_eq!((crypto.tag, crypto.key.suite()), (tag, key.suite()));
            prop_assert_eq!(crypto.key.to_inline(), key.to_inline());
        }

        #[test]
        fn no_text_makes_the_parser_panic(
            value in "([0-9]{1,10} (AES_CM_128_HMAC_SHA1_80|[A-Z]{3}) inline:)?\\PC{0,80}",
        ) {
            let _ = read(&value);
        }
    }
}
