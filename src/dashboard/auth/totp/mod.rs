//! The second factor: time-based codes (RFC 6238) of an authenticator app.
//!
//! The secret is stored encrypted under a key derived from the account's password, which the server knows only
//! during sign-in. Between the password and the code, the browser holds that key in a cookie for five minutes: a
//! node keeps no state, and the database alone does not reveal the secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nexo_domain::ids::AccountId;
use rand::Rng;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use totp_rs::{Builder, Secret, Totp};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::hashing::{Busy, PasswordHasher};

pub(in crate::dashboard) mod pages;

const SALT: usize = 16;
const NONCE: usize = 12;
/// RFC 4226 §4 recommends 160 bits.
const SECRET: usize = 20;

/// A key that decrypts a sealed secret.
pub type SealKey = Zeroizing<[u8; 32]>;

/// The secret that the authenticator app and the account share.
pub struct TotpSecret(Zeroizing<Vec<u8>>);

impl TotpSecret {
    /// A new random secret.
    pub fn new() -> TotpSecret {
        let mut random = Zeroizing::new(vec![0; SECRET]);
        rand::rng().fill_bytes(random.as_mut());
        TotpSecret(random)
    }

    /// Parses the text of a form.
    pub fn from_base32(text: &str) -> Option<TotpSecret> {
        let bytes = Secret::try_from_base32(text.trim()).ok()?;
        let bytes = bytes.as_ref().to_vec();
        (bytes.len() == SECRET).then(|| TotpSecret(Zeroizing::new(bytes)))
    }

    /// The text to type into an app.
    pub fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(Secret::from(self.0.as_slice()).to_base32())
    }

    fn totp(&self, email: &str) -> Option<Totp> {
        Builder::new()
            .with_secret(Secret::from(self.0.as_slice()))
            // A colon separates the issuer from the account in the app's URL.
            .with_account_name(email.replace(':', " "))
            .with_issuer(Some("NEXO ROUTE"))
            .build()
            .ok()
    }

    /// The `otpauth` URL for a QR code.
    pub fn url(&self, email: &str) -> Option<Zeroizing<String>> {
        let totp = self.totp(email)?;
        totp.to_url().ok().map(Zeroizing::new)
    }

    /// The time step of this code: the current one, the one before or the one after.
    pub fn step_of(&self, code: &str, now_ms: i64) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let seconds = u64::try_from(now_ms / 1000).ok()?;
        let step = self.totp("account")?.check(&code, seconds)?;
        i64::try_from(step).ok()
    }

    /// Encrypts the secret under a password and binds it to the account.
    pub async fn seal(
        &self,
        hasher: &PasswordHasher,
        password: Zeroizing<String>,
        account: AccountId,
    ) -> Result<Option<Vec<u8>>, Busy> {
        let mut salt = [0; SALT];
        rand::rng().fill_bytes(&mut salt);
        let Some(key) = hasher.derive_key(password, salt).await? else {
            return Ok(None);
        };
        let mut nonce = [0; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let mut text = self.0.to_vec();
        let sealed = aead(&key).and_then(|key| {
            let nonce = Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_append_tag(nonce, Aad::from(account.0.into_bytes()), &mut text).ok()
        });
        Ok(sealed.map(|()| [&salt[..], &nonce[..], &text[..]].concat()))
    }
}

fn aead(key: &SealKey) -> Option<LessSafeKey> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok()?;
    Some(LessSafeKey::new(key))
}

/// Derives the key of a sealed secret from its password.
pub async fn derive_key(
    hasher: &PasswordHasher,
    password: Zeroizing<String>,
    sealed: &[u8],
) -> Result<Option<SealKey>, Busy> {
    let Some(salt) = sealed.first_chunk::<SALT>() else {
        return Ok(None);
    };
    hasher.derive_key(password, *salt).await
}

/// Decrypts a sealed secret; `None` if the key or the account is another one, or a byte was changed.
pub fn open(key: &SealKey, sealed: &[u8], account: AccountId) -> Option<TotpSecret> {
    let (_, rest) = sealed.split_at_checked(SALT)?;
    let (nonce, text) = rest.split_first_chunk::<NONCE>()?;
    let mut text = Zeroizing::new(text.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened =
        aead(key)?.open_in_place(nonce, Aad::from(account.0.into_bytes()), &mut text).ok()?;
    Some(TotpSecret(Zeroizing::new(opened.to_vec())))
}

/// The account and key that the browser holds between the password and the code.
pub struct SecondStepTicket {
    pub account: AccountId,
    pub key: SealKey,
}

impl SecondStepTicket {
    /// The cookie's value.
    pub fn encode(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([self.account.0.as_bytes(), &self.key[..]].concat());
        Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes))
    }

    /// Parses a cookie's value.
    pub fn parse(text: &str) -> Option<SecondStepTicket> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (account, key) = bytes.split_first_chunk::<16>()?;
        let key: [u8; 32] = key.try_into().ok()?;
        Some(SecondStepTicket {
            account: AccountId(Uuid::from_bytes(*account)),
            key: Zeroizing::new(key),
        })
    }
}

/// A code that replaces a lost second factor: 80 random bits in groups of four characters.
pub fn new_recovery_code() -> Zeroizing<String> {
    let mut random = Zeroizing::new([0; 10]);
    rand::rng().fill_bytes(random.as_mut());
    let text = Zeroizing::new(Secret::from(random.as_slice()).to_base32());
    let groups: Vec<&str> = [0, 4, 8, 12].map(|at| &text[at..at + 4]).to_vec();
    Zeroizing::new(groups.join("-"))
}

/// The hash of a recovery code, which is stored in place of it. Case and separators do not matter.
pub fn recovery_hash(code: &str) -> [u8; 32] {
    let plain: Zeroizing<String> = Zeroizing::new(
        code.chars()
            .filter(|c| c.is_ascii_alphanumeric())
            .map(|c| c.to_ascii_uppercase())
            .collect(),
    );
    super::tokens::hash(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sealed_secret_opens_only_with_its_password_and_account() {
        let hasher = PasswordHasher::new();
        let password = |text: &str| Zeroizing::new(text.to_owned());
        let (owner, other) = (AccountId(Uuid::now_v7()), AccountId(Uuid::now_v7()));
        let secret = TotpSecret::new();
        let sealed = secret.seal(&hasher, password("correct horse"), owner).await;
        let sealed = sealed.unwrap().unwrap();
        let key = derive_key(&hasher, password("correct horse"), &sealed).await;
        let key = key.unwrap().unwrap();
        let opened = open(&key, &sealed, owner).unwrap();
        assert_eq!(opened.base32(), secret.base32());
        assert!(open(&key, &sealed, other).is_none());
        let wrong = derive_key(&hasher, password("wrong horse!"), &sealed).await;
        assert!(open(&wrong.unwrap().unwrap(), &sealed, owner).is_none());
        let ticket = SecondStepTicket { account: owner, key };
        let read = SecondStepTicket::parse(&ticket.encode()).unwrap();
        assert!(read.account == owner && *read.key == *ticket.key);
        assert!(SecondStepTicket::parse("x").is_none());
    }

    #[test]
    fn a_code_is_valid_in_its_step_and_the_neighbouring_steps() {
        // RFC 6238, appendix B: the last six of the eight digits at 1111111109 s.
        let secret = TotpSecret(Zeroizing::new(b"12345678901234567890".to_vec()));
        let step = 1_111_111_109 / 30;
        for (at, found) in [
            (1_111_111_109_000, Some(step)),
            (1_111_111_129_000, Some(step)),
            (1_111_111_085_000, Some(step)),
            (1_111_111_209_000, None),
        ] {
            assert_eq!(secret.step_of("081 804", at), found, "{at}");
        }
        assert_eq!(secret.step_of("081805", 1_111_111_109_000), None);
        assert_eq!(secret.step_of("", 1_111_111_109_000), None);
    }

    #[test]
    fn a_recovery_code_is_recognised_in_any_case_and_grouping() {
        let code = new_recovery_code();
        assert_eq!(code.len(), 19);
        let typed = code.to_lowercase().replace('-', " ");
        assert_eq!(recovery_hash(&typed), recovery_hash(&code));
        assert_ne!(recovery_hash(&new_recovery_code()), recovery_hash(&code));
    }
}
