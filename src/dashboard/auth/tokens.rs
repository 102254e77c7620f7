//! Random tokens for cookies and e-mailed links. Only their hashes are stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nexo_entities::store::accounts::sessions::TokenHash;
use rand::Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// 32 random bytes as 43 URL-safe characters.
pub type Token = Zeroizing<String>;

/// A new token.
pub fn new_token() -> Token {
    let mut random = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(random.as_mut());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_ref()))
}

/// Whether a text has the form of a token.
pub fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    text.len() == 43 && text.bytes().all(allowed)
}

/// The SHA-256 of a token, which is stored in place of it.
pub fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// The form token derived from a browser's token. It does not reveal that token.
pub fn form_token(token: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(b"nexo form\0");
    digest.update(token.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unique_and_differ_from_their_form_tokens() {
        let token = new_token();
        assert!(is_token(&token));
        assert_ne!(*token, *new_token());
        assert_eq!(form_token(&token), form_token(&token));
        assert_ne!(form_token(&token), *token);
        for text in ["", "x", &"a".repeat(44), &format!("{}=", "a".repeat(42))] {
            assert!(!is_token(text), "{text:?}");
        }
    }
}
