//! Session keys (RFC 3711 §4.3, RFC 6188 §3), AES in counter mode (§4.1.1) and the authentication
//! tag (§4.2.1).

use aes::{Aes128Enc, Aes256Enc};
use ctr::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipherCore};
use ctr::cipher::{BlockSizeUser, consts::U16};
use ctr::{CtrCore, flavors::Ctr128BE};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use zeroize::{Zeroize, Zeroizing};

use super::master_key::{MAX_KEY_BYTES, MasterKey, SALT_BYTES, Suite};

/// The key length of HMAC-SHA1.
const AUTH_KEY_BYTES: usize = 20;
const SHA1_BLOCK_BYTES: usize = 64;
const IV_BYTES: usize = 16;

/// The protocol whose keys are derived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Rtp,
    Rtcp,
}

impl Protocol {
    /// Returns the labels of the encryption key, the authentication key and the salt (RFC 3711
    /// §4.3.2).
    fn labels(self) -> [u8; 3] {
        match self {
            Protocol::Rtp => [0, 1, 2],
            Protocol::Rtcp => [3, 4, 5],
        }
    }
}

/// The keys that encrypt and authenticate the packets of one protocol.
pub(super) struct SessionKeys {
    cipher: Cipher,
    salt: [u8; SALT_BYTES],
    /// Initialised with the key and cloned for each packet, so that the key is hashed once.
    mac: Hmac<Sha1>,
}

impl SessionKeys {
    pub fn derive(master: &MasterKey, protocol: Protocol) -> SessionKeys {
        let suite = master.suite();
        let derivation = Cipher::new(suite, master.key());
        let [cipher_label, auth_label, salt_label] = protocol.labels();
        let mut key = Zeroizing::new([0; MAX_KEY_BYTES]);
        let mut auth_key = Zeroizing::new([0; AUTH_KEY_BYTES]);
        let mut salt = Zeroizing::new([0; SALT_BYTES]);
        derivation.derive(master.salt(), cipher_label, &mut key[..suite.key_bytes()]);
        derivation.derive(master.salt(), auth_label, &mut auth_key[..]);
        derivation.derive(master.salt(), salt_label, &mut salt[..]);
        SessionKeys::new(suite, &key, &auth_key, &salt)
    }

    fn new(
        suite: Suite,
        key: &[u8; MAX_KEY_BYTES],
        auth_key: &[u8; AUTH_KEY_BYTES],
        salt: &[u8; SALT_BYTES],
    ) -> SessionKeys {
        // HMAC pads a short key with zeros itself. A whole block is a key length that cannot be
        // rejected.
        let mut block = Zeroizing::new([0; SHA1_BLOCK_BYTES]);
        block[..AUTH_KEY_BYTES].copy_from_slice(auth_key);
        SessionKeys {
            cipher: Cipher::new(suite, key),
            salt: *salt,
            mac: Hmac::new((&*block).into()),
        }
    }

    /// Encrypts or decrypts a packet's payload in place (RFC 3711 §4.1.1). `payload` must not
    /// exceed 2^16 blocks, because after that the keystream overlaps that of the next packet.
    pub fn apply_keystream(&self, ssrc: u32, index: u64, payload: &mut [u8]) {
        let mut iv = [0; IV_BYTES];
        iv[..SALT_BYTES].copy_from_slice(&self.salt);
        let ssrc_and_index = u128::from(ssrc) << 64 | u128::from(index) << 16;
        let iv = (u128::from_be_bytes(iv) ^ ssrc_and_index).to_be_bytes();
        self.cipher.apply(&iv, payload);
    }

    /// Returns the whole tag over `packet` and `unsent`, which is authenticated but not sent. A
    /// suite sends the first bytes of the tag.
    pub fn tag(&self, packet: &[u8], unsent: &[u8]) -> [u8; 20] {
        self.authenticate(packet, unsent).finalize().into_bytes().into()
    }

    /// Whether `tag` is a prefix of the packet's tag, in constant time.
    pub fn verify(&self, packet: &[u8], unsent: &[u8], tag: &[u8]) -> bool {
        let mac = self.authenticate(packet, unsent);
        mac.verify_truncated_left(tag).is_ok()
    }

    fn authenticate(&self, packet: &[u8], unsent: &[u8]) -> Hmac<Sha1> {
        self.mac.clone().chain_update(packet).chain_update(unsent)
    }
}

impl Drop for SessionKeys {
    fn drop(&mut self) {
        // The cipher and the MAC wipe their own memory.
        self.salt.zeroize();
    }
}

/// AES with its round keys.
enum Cipher {
    Aes128(Aes128Enc),
    Aes256(Aes256Enc),
}

impl Cipher {
    fn new(suite: Suite, key: &[u8; MAX_KEY_BYTES]) -> Cipher {
        match suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                let key: Zeroizing<[u8; 16]> = Zeroizing::new(std::array::from_fn(|at| key[at]));
                Cipher::Aes128(Aes128Enc::new((&*key).into()))
            }
            Suite::AesCm256HmacSha1_80 => Cipher::Aes256(Aes256Enc::new(key.into())),
        }
    }

    fn apply(&self, iv: &[u8; IV_BYTES], data: &mut [u8]) {
        match self {
            Cipher::Aes128(aes) => apply_counter_mode(aes, iv, data),
            Cipher::Aes256(aes) => apply_counter_mode(aes, iv, data),
        }
    }

    /// Fills `key`, which is all zeros, with the key of this label (RFC 3711 §4.3.1, §4.3.3). With
    /// a key derivation rate of zero, each key is derived once.
    fn derive(&self, master_salt: &[u8; SALT_BYTES], label: u8, key: &mut [u8]) {
        let mut iv = [0; IV_BYTES];
        iv[..SALT_BYTES].copy_from_slice(master_salt);
        // The label is above the 48-bit index, whose position is the last six bytes of the salt.
        iv[SALT_BYTES - 7] ^= label;
        self.apply(&iv, key);
        iv.zeroize();
    }
}

fn apply_counter_mode<A>(aes: &A, iv: &[u8; IV_BYTES], data: &mut [u8])
where
    A: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    CtrCore::<&A, Ctr128BE>::inner_iv_init(aes, iv.into()).apply_keystream_partial(data.into());
}

#[cfg(test)]
mod tests;
