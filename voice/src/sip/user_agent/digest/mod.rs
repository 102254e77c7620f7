//! Digest authentication (RFC 7616 as SIP uses it: RFC 3261 §22, RFC 8760).
//!
//! A gateway, and each proxy behind it, challenges with 401 (`WWW-Authenticate`) or 407 (`Proxy-Authenticate`). The
//! nonce of each realm is kept and reused for later requests with an increasing count, so that a call needs only
//! one INVITE.

mod authorizer;
mod challenge;

use std::fmt;
use std::sync::Arc;

use rand::{Rng, RngExt};
use thiserror::Error;
use zeroize::Zeroizing;

use challenge::{Challenge, Qop};

pub(super) use authorizer::{AnsweredRealms, AuthField, Authorizer};
pub use challenge::DigestAlgorithm;

use crate::sip::message::Method;

/// Our username and password at a gateway.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: Arc<str>,
    password: Zeroizing<String>,
    /// The only realm to authenticate to. `None`: any.
    realm: Option<String>,
    /// The weakest algorithm to authenticate with.
    minimum: DigestAlgorithm,
}

impl Credentials {
    pub fn new(username: &str, password: &str, realm: Option<&str>) -> Credentials {
        Credentials {
            username: username.into(),
            password: Zeroizing::new(password.to_owned()),
            realm: realm.map(str::to_owned),
            minimum: DigestAlgorithm::Md5,
        }
    }

    /// Answers only challenges with this algorithm or a stronger one.
    pub fn with_minimum(self, minimum: DigestAlgorithm) -> Credentials {
        Credentials { minimum, ..self }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Why a challenge is not answered. Of several reasons the greatest one counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Error)]
pub enum DigestError {
    #[error("no challenge has a supported scheme, algorithm and qop")]
    Unsupported,
    #[error("the realm of the challenge is not the configured one")]
    OtherRealm,
    #[error("the credentials were refused")]
    Refused,
    #[error("the strongest offered algorithm is {}, but {} is required", .offered.name(), .required.name())]
    TooWeak { offered: DigestAlgorithm, required: DigestAlgorithm },
}

fn quote(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}

/// A nonce in use.
struct NonceState {
    challenge: Challenge,
    client_nonce: String,
    /// H(A1). Zeroized: it can replace the password.
    key: Zeroizing<String>,
    count: u32,
}

impl NonceState {
    fn new(challenge: Challenge, credentials: &Credentials, random: &mut impl Rng) -> NonceState {
        let client_nonce = format!("{:032x}", random.random::<u128>());
        NonceState::with_client_nonce(challenge, credentials, client_nonce)
    }

    fn with_client_nonce(
        challenge: Challenge,
        credentials: &Credentials,
        client_nonce: String,
    ) -> NonceState {
        let hash = challenge.algorithm.hash;
        let mut key = Zeroizing::new(hash.digest(&[
            credentials.username.as_bytes(),
            challenge.realm.as_bytes(),
            credentials.password.as_bytes(),
        ]));
        if challenge.algorithm.is_session {
            let bound = [key.as_bytes(), challenge.nonce.as_bytes(), client_nonce.as_bytes()];
            key = Zeroizing::new(hash.digest(&bound));
        }
        NonceState { challenge, client_nonce, key, count: 0 }
    }

    /// The `response` parameter (RFC 7616 §3.4.1). `request` is H(A2).
    fn response(&self, request: &str, count: &str) -> String {
        let Challenge { nonce, algorithm, qop, .. } = &self.challenge;
        let (key, nonce) = (self.key.as_bytes(), nonce.as_bytes());
        match qop.name() {
            None => algorithm.hash.digest(&[key, nonce, request.as_bytes()]),
            Some(qop) => algorithm.hash.digest(&[
                key,
                nonce,
                count.as_bytes(),
                self.client_nonce.as_bytes(),
                qop.as_bytes(),
                request.as_bytes(),
            ]),
        }
    }

    /// The value of the header field for the next request.
    fn authorization(&mut self, username: &str, method: Method, uri: &str, body: &[u8]) -> String {
        self.count += 1;
        let Challenge { realm, nonce, opaque, algorithm, names_algorithm, qop, .. } =
            &self.challenge;
        let hash = algorithm.hash;
        let count = format!("{:08x}", self.count);
        let name = method.name().as_bytes();
        let request = match qop {
            Qop::Absent | Qop::Auth => hash.digest(&[name, uri.as_bytes()]),
            Qop::AuthInt => hash.digest(&[name, uri.as_bytes(), hash.digest(&[body]).as_bytes()]),
        };
        let response = self.response(&request, &count);
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quote(username),
            quote(realm),
            quote(nonce),
            quote(uri),
        );
        if *names_algorithm {
            value.push_str(&format!(", algorithm={}", algorithm.name()));
        }
        if let Some(opaque) = opaque {
            value.push_str(&format!(", opaque={}", quote(opaque)));
        }
        if let Some(qop) = qop.name() {
            let client_nonce = &self.client_nonce;
            value.push_str(&format!(", qop={qop}, nc={count}, cnonce=\"{client_nonce}\""));
        } else if algorithm.is_session {
            value.push_str(&format!(", cnonce=\"{}\"", self.client_nonce));
        }
        value
    }
}

#[cfg(test)]
mod tests;
