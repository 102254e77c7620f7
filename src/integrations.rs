//! Integrations: how one is created, and what protects its secret in the database.

use nexo_actors::clock::unix_ms;
use nexo_domain::ids::{AccountId, IntegrationId};
use nexo_domain::installation_secret::InstallationSecret;
use nexo_domain::integration::proof::Verifier;
use nexo_domain::integration::{HookBody, HookSecret, Kind};
use nexo_entities::store::accounts::integrations::{NewIntegration, StoredSecret};
use nexo_entities::store::{Store, StoreError};
use rand::Rng;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use uuid::Uuid;
use zeroize::Zeroizing;

const NONCE: usize = 12;

/// The keys that this installation derives for integrations, if it has an installation secret.
#[derive(Clone, Default)]
pub struct HookKeys {
    /// Encrypts keys of signatures.
    seal: Option<Zeroizing<[u8; 32]>>,
    /// Identifies a code without revealing it.
    codes: Option<Zeroizing<[u8; 32]>>,
}

impl HookKeys {
    /// The keys that an installation derives from its secret.
    pub fn of(secret: Option<&InstallationSecret>) -> HookKeys {
        let derive = |purpose| secret.map(|secret| secret.derive(purpose));
        HookKeys { seal: derive("hook secrets"), codes: derive("hook codes") }
    }

    /// The key that identifies codes.
    pub fn of_codes(&self) -> Option<&[u8]> {
        self.codes.as_deref().map(|key| &key[..])
    }

    /// What is stored of a secret: its hash if that suffices, else the secret, encrypted if there is a key.
    fn stored(&self, id: IntegrationId, kind: Kind, secret: &HookSecret) -> StoredSecret {
        if !kind.proof().is_signature() {
            return StoredSecret::Hash(secret.hash());
        }
        let text = secret.reveal().as_bytes();
        match &self.seal {
            Some(key) => StoredSecret::Sealed(seal(key, id, text)),
            None => StoredSecret::Plain(text.to_vec()),
        }
    }

    /// What verifies an integration's requests; `None` if its secret cannot be decrypted.
    pub fn verifier(
        &self,
        id: IntegrationId,
        kind: Kind,
        stored: &StoredSecret,
    ) -> Option<Verifier> {
        let text = match stored {
            StoredSecret::Hash(hash) => return Some(Verifier::Hash(kind.proof(), *hash)),
            StoredSecret::Plain(text) => Zeroizing::new(text.clone()),
            StoredSecret::Sealed(sealed) => open(self.seal.as_ref()?, id, sealed)?,
        };
        let secret = HookSecret::parse(kind, std::str::from_utf8(&text).ok()?).ok()?;
        Some(Verifier::Secret(kind.proof(), secret))
    }
}

/// Encrypts a secret and binds it to its integration: nonce, text, tag.
fn seal(key: &[u8; 32], id: IntegrationId, text: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE];
    rand::rng().fill_bytes(&mut nonce);
    let mut sealed = text.to_vec();
    let unique = Nonce::assume_unique_for_key(nonce);
    aead(key)
        .seal_in_place_append_tag(unique, Aad::from(id.0.into_bytes()), &mut sealed)
        .expect("a secret is shorter than the cipher's limit");
    [&nonce[..], &sealed].concat()
}

/// Decrypts a secret; `None` if the key or the integration is another one, or a byte was changed.
fn open(key: &[u8; 32], id: IntegrationId, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE>()?;
    let mut text = Zeroizing::new(text.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = aead(key).open_in_place(nonce, Aad::from(id.0.into_bytes()), &mut text).ok()?;
    Some(Zeroizing::new(opened.to_vec()))
}

fn aead(key: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key of 32 bytes");
    LessSafeKey::new(key)
}

/// A new secret in the form of its kind.
pub fn new_secret(kind: Kind) -> HookSecret {
    let mut random = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(random.as_mut());
    HookSecret::from_random(kind, &random)
}

/// Creates an integration.
///
/// # Errors
/// Those of [`create_integration`](nexo_entities::store::Accounts::create_integration).
pub async fn create(
    store: &Store,
    keys: &HookKeys,
    account_id: AccountId,
    name: &str,
    body: &HookBody,
    secret: &HookSecret,
) -> Result<IntegrationId, StoreError> {
    let id = IntegrationId(Uuid::now_v7());
    let stored = keys.stored(id, body.kind(), secret);
    let created_at_ms = unix_ms();
    let new = NewIntegration { id, account_id, name, body, secret: stored, created_at_ms };
    store.accounts().create_integration(new).await?;
    Ok(id)
}

/// The path that an auth server calls.
pub fn path(kind: Kind, id: IntegrationId) -> String {
    format!("/api/v1/hooks/{kind}/{id}")
}

#[cfg(test)]
mod tests {
    use nexo_domain::integration::proof::ProofHeaders;

    use super::*;

    const ID: IntegrationId = IntegrationId(Uuid::from_u128(1));

    fn keys(byte: u8) -> HookKeys {
        HookKeys::of(Some(&InstallationSecret::from_random([byte; 32])))
    }

    #[test]
    fn the_secret_of_a_signature_is_sealed_and_opened_only_by_its_key_for_its_integration() {
        let secret = new_secret(Kind::Zitadel);
        let stored = keys(1).stored(ID, Kind::Zitadel, &secret);
        let StoredSecret::Sealed(sealed) = &stored else {
            panic!("not sealed");
        };
        let text = secret.reveal().as_bytes();
        assert!(!sealed.windows(8).any(|part| part == &text[8..16]));
        let key = keys(1).seal.unwrap();
        assert_eq!(open(&key, ID, sealed).unwrap().as_slice(), text);
        assert!(keys(1).verifier(ID, Kind::Zitadel, &stored).is_some());
        assert!(keys(2).verifier(ID, Kind::Zitadel, &stored).is_none());
        assert!(HookKeys::default().verifier(ID, Kind::Zitadel, &stored).is_none());
        let other = IntegrationId(Uuid::from_u128(2));
        assert!(keys(1).verifier(other, Kind::Zitadel, &stored).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key, ID, &changed).is_none());
        }
    }

    #[test]
    fn without_an_installation_secret_the_key_of_signatures_is_stored_as_it_is() {
        let secret = new_secret(Kind::Supabase);
        let stored = HookKeys::default().stored(ID, Kind::Supabase, &secret);
        assert_eq!(stored, StoredSecret::Plain(secret.reveal().as_bytes().to_vec()));
        // It still counts once there is an installation secret.
        assert!(keys(1).verifier(ID, Kind::Supabase, &stored).is_some());
    }

    #[test]
    fn a_secret_that_each_request_presents_is_stored_as_its_hash() {
        for kind in [Kind::Logto, Kind::Kratos, Kind::Auth0, Kind::Custom] {
            let secret = new_secret(kind);
            let stored = keys(1).stored(ID, kind, &secret);
            assert_eq!(stored, StoredSecret::Hash(secret.hash()));
            let verifier = keys(1).verifier(ID, kind, &stored).unwrap();
            let authorization = format!("Bearer {}", secret.reveal());
            let headers =
                ProofHeaders { authorization: Some(&authorization), ..ProofHeaders::default() };
            assert!(verifier.verify(headers, b"", 0).is_some());
        }
    }
}
