//! Digest authentication (RFC 7616 as SIP uses it: RFC 3261 §22, RFC 8760).
//!
//! A gateway challenges with 401 (`WWW-Authenticate`) or 407 (`Proxy-Authenticate`). Its nonce is kept and
//! used for every later request, with a rising count, so that a warm trunk needs one INVITE a call.

use std::fmt;
use std::sync::Arc;

use md5::Md5;
use rand::{Rng, RngExt};
use sha2::{Digest, Sha256, Sha512_256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::sip::message::header::{Name, split_free};
use crate::sip::message::message::{Method, Response};

/// Who we are to a gateway.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: Arc<str>,
    password: Zeroizing<String>,
    /// The only realm that is answered. `None`: whatever realm the gateway names.
    realm: Option<String>,
}

impl Credentials {
    pub fn new(username: &str, password: &str, realm: Option<&str>) -> Credentials {
        Credentials {
            username: username.into(),
            password: Zeroizing::new(password.to_owned()),
            realm: realm.map(str::to_owned),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DigestError {
    #[error("the challenge is for another realm than the configured one")]
    OtherRealm,
    #[error("no challenge names a scheme, an algorithm and a protection that are supported")]
    Unsupported,
}

/// The hash, and whether the key is bound to the session (RFC 7616 §3.4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Algorithm {
    hash: Hash,
    is_session: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hash {
    Md5,
    Sha256,
    Sha512_256,
}

const ALGORITHMS: [(&str, Hash, bool); 6] = [
    ("MD5", Hash::Md5, false),
    ("MD5-sess", Hash::Md5, true),
    ("SHA-256", Hash::Sha256, false),
    ("SHA-256-sess", Hash::Sha256, true),
    ("SHA-512-256", Hash::Sha512_256, false),
    ("SHA-512-256-sess", Hash::Sha512_256, true),
];

impl Algorithm {
    fn parse(text: &str) -> Option<Algorithm> {
        let known = ALGORITHMS.iter();
        let (_, hash, is_session) = known
            .into_iter()
            .find(|(name, _, _)| name.eq_ignore_ascii_case(text))?;
        Some(Algorithm {
            hash: *hash,
            is_session: *is_session,
        })
    }

    fn name(self) -> &'static str {
        ALGORITHMS
            .iter()
            .find(|(_, hash, is_session)| *hash == self.hash && *is_session == self.is_session)
            .map_or("MD5", |(name, _, _)| name)
    }
}

impl Hash {
    /// The hash of the parts with colons between them, in lower-case hexadecimal.
    fn of(self, parts: &[&[u8]]) -> String {
        let joined = Zeroizing::new(parts.join(&b':'));
        match self {
            Hash::Md5 => hex(&Md5::digest(joined.as_slice())),
            Hash::Sha256 => hex(&Sha256::digest(joined.as_slice())),
            Hash::Sha512_256 => hex(&Sha512_256::digest(joined.as_slice())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is protected beside the method and the URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protection {
    /// RFC 2069's form, without a count.
    Old,
    Auth,
    /// The body too.
    AuthInt,
}

impl Protection {
    fn name(self) -> Option<&'static str> {
        match self {
            Protection::Old => None,
            Protection::Auth => Some("auth"),
            Protection::AuthInt => Some("auth-int"),
        }
    }
}

/// A challenge that can be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// Whether the algorithm is named in answers: where it was not named, MD5 is meant.
    names_algorithm: bool,
    protection: Protection,
    is_stale: bool,
}

impl Challenge {
    fn parse(value: &str) -> Option<Challenge> {
        let (scheme, parameters) = value.trim().split_once(char::is_whitespace)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let find = |name: &str| {
            split_free(parameters, b',').find_map(|parameter| {
                let (key, value) = parameter.split_once('=')?;
                key.trim()
                    .eq_ignore_ascii_case(name)
                    .then(|| unquoted(value.trim()))
            })
        };
        let algorithm = find("algorithm");
        let protection = match find("qop") {
            None => Protection::Old,
            Some(list) => {
                let has = |name: &str| list.split(',').any(|q| q.trim().eq_ignore_ascii_case(name));
                match (has("auth"), has("auth-int")) {
                    (true, _) => Protection::Auth,
                    (false, true) => Protection::AuthInt,
                    (false, false) => return None,
                }
            }
        };
        Some(Challenge {
            realm: find("realm")?,
            nonce: find("nonce").filter(|nonce| !nonce.is_empty())?,
            opaque: find("opaque"),
            algorithm: Algorithm::parse(algorithm.as_deref().unwrap_or("MD5"))?,
            names_algorithm: algorithm.is_some(),
            protection,
            is_stale: find("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }
}

/// A value without the quotes and backslashes that it may be written with.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else {
        return value.to_owned();
    };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            other => plain.push(other),
        }
    }
    plain
}

fn quoted(value: &str) -> String {
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
struct Session {
    challenge: Challenge,
    client_nonce: String,
    /// H(A1). Wiped, since it is as good as the password.
    key: Zeroizing<String>,
    count: u32,
}

impl Session {
    fn begin(challenge: Challenge, credentials: &Credentials, random: &mut impl Rng) -> Session {
        let client_nonce = format!("{:032x}", random.random::<u128>());
        Session::with(challenge, credentials, client_nonce)
    }

    fn with(challenge: Challenge, credentials: &Credentials, client_nonce: String) -> Session {
        let hash = challenge.algorithm.hash;
        let mut key = Zeroizing::new(hash.of(&[
            credentials.username.as_bytes(),
            challenge.realm.as_bytes(),
            credentials.password.as_bytes(),
        ]));
        if challenge.algorithm.is_session {
            let bound = [
                key.as_bytes(),
                challenge.nonce.as_bytes(),
                client_nonce.as_bytes(),
            ];
            key = Zeroizing::new(hash.of(&bound));
        }
        Session {
            challenge,
            client_nonce,
            key,
            count: 0,
        }
    }

    /// The response to the nonce (RFC 7616 §3.4.1). `request` is H(A2).
    fn response(&self, request: &str, count: &str) -> String {
        let Challenge {
            nonce,
            algorithm,
            protection,
            ..
        } = &self.challenge;
        let (key, nonce) = (self.key.as_bytes(), nonce.as_bytes());
        match protection.name() {
            None => algorithm.hash.of(&[key, nonce, request.as_bytes()]),
            Some(qop) => algorithm.hash.of(&[
                key,
                nonce,
                count.as_bytes(),
                self.client_nonce.as_bytes(),
                qop.as_bytes(),
                request.as_bytes(),
            ]),
        }
    }

    /// The header field's value for the next request.
    fn answer(&mut self, username: &str, method: Method, uri: &str, body: &[u8]) -> String {
        self.count += 1;
        let Challenge {
            realm,
            nonce,
            opaque,
            algorithm,
            names_algorithm,
            protection,
            ..
        } = &self.challenge;
        let hash = algorithm.hash;
        let count = format!("{:08x}", self.count);
        let name = method.name().as_bytes();
        let request = match protection {
            Protection::Old | Protection::Auth => hash.of(&[name, uri.as_bytes()]),
            Protection::AuthInt => hash.of(&[name, uri.as_bytes(), hash.of(&[body]).as_bytes()]),
        };
        let response = self.response(&request, &count);
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(username),
            quoted(realm),
            quoted(nonce),
            quoted(uri),
        );
        if *names_algorithm {
            value.push_str(&format!(", algorithm={}", algorithm.name()));
        }
        if let Some(opaque) = opaque {
            value.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        if let Some(qop) = protection.name() {
            let client_nonce = &self.client_nonce;
            value.push_str(&format!(
                ", qop={qop}, nc={count}, cnonce=\"{client_nonce}\""
            ));
        } else if algorithm.is_session {
            value.push_str(&format!(", cnonce=\"{}\"", self.client_nonce));
        }
        value
    }
}

/// Answers one gateway's challenges.
pub(in crate::sip) struct Authorizer {
    credentials: Arc<Credentials>,
    /// For `Authorization`: what the far end itself asked for, with 401.
    end: Option<Session>,
    /// For `Proxy-Authorization`: what a proxy asked for, with 407.
    proxy: Option<Session>,
}

/// A header field that answers a challenge.
pub(in crate::sip) type Answer = (&'static str, String);

impl Authorizer {
    pub fn new(credentials: Arc<Credentials>) -> Authorizer {
        Authorizer {
            credentials,
            end: None,
            proxy: None,
        }
    }

    /// Whether it answers for these credentials.
    pub fn is_for(&self, credentials: &Credentials) -> bool {
        *self.credentials == *credentials
    }

    /// Takes a 401 or 407. Later requests are authorized with its nonce. Gives whether the gateway says
    /// that only the nonce was too old.
    ///
    /// # Errors
    /// When none of its challenges can be answered; what was in use before is forgotten.
    pub fn challenged(
        &mut self,
        response: &Response,
        random: &mut impl Rng,
    ) -> Result<bool, DigestError> {
        let (place, name) = match response.code() {
            407 => (&mut self.proxy, Name::ProxyAuthenticate),
            _ => (&mut self.end, Name::WwwAuthenticate),
        };
        *place = None;
        let mut error = DigestError::Unsupported;
        // RFC 8760 §2.4: the topmost one that is supported.
        for challenge in response.lines(name).filter_map(Challenge::parse) {
            let realm = self.credentials.realm.as_ref();
            if realm.is_some_and(|realm| *realm != challenge.realm) {
                error = DigestError::OtherRealm;
                continue;
            }
            let is_stale = challenge.is_stale;
            *place = Some(Session::begin(challenge, &self.credentials, random));
            return Ok(is_stale);
        }
        Err(error)
    }

    /// The header fields that authorize a request; none before the first challenge.
    pub fn authorize(&mut self, method: Method, uri: &str, body: &[u8]) -> Vec<Answer> {
        let username = &self.credentials.username;
        let sessions = [
            ("Authorization", &mut self.end),
            ("Proxy-Authorization", &mut self.proxy),
        ];
        sessions
            .into_iter()
            .filter_map(|(name, session)| {
                let session = session.as_mut()?;
                Some((name, session.answer(username, method, uri, body)))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
