//! New API keys and webhook secrets from the system's random numbers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nexo_domain::account::api_key::{ApiKey, KeyMode, MalformedKey};
use rand::Rng;
use zeroize::Zeroizing;

/// A new API key.
///
/// # Errors
/// [`MalformedKey`] if too few of the random bytes are usable, which does not happen in practice.
pub fn new_api_key(mode: KeyMode) -> Result<ApiKey, MalformedKey> {
    let mut random = Zeroizing::new([0; 96]);
    rand::rng().fill_bytes(random.as_mut());
    ApiKey::from_random(mode, random.as_ref())
}

/// A new secret of a webhook endpoint: `whsec_` and the Base64 of 24 random bytes.
pub fn new_webhook_secret() -> String {
    let mut random = [0; 24];
    rand::rng().fill_bytes(&mut random);
    format!("whsec_{}", STANDARD.encode(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_new_and_holds_24_random_bytes() {
        let secret = new_webhook_secret();
        let encoded = secret.strip_prefix("whsec_").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap().len(), 24);
        assert_ne!(new_webhook_secret(), secret);
    }
}
