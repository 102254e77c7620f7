//! Random tokens that browsers and mails carry, and what is kept of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nexo_entities::store::accounts::sessions::TokenHash;
use rand::Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// 32 random bytes as 43 characters that a URL takes as they are.
pub type Token = Zeroizing<String>;

/// A new token.
pub fn new_token() -> Token {
    let mut random = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(random.as_mut());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_ref()))
}

/// Whether a text can be one of our tokens at all.
pub fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    text.len() == 43 && text.bytes().all(allowed)
}

/// What is kept of a token: its SHA-256.
pub fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// What the forms of this token's pages carry. It follows from the token and does not give it away.
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
    fn a_token_is_new_each_time_and_its_form_token_another() {
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
