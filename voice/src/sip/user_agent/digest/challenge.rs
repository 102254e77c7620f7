//! The challenges of a gateway, and the hash algorithms that they name.

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};
use zeroize::Zeroizing;

use crate::sip::message::header::split_outside_quotes;

/// A hash, and whether the key depends on the nonces (`-sess`, RFC 7616 §3.4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Algorithm {
    pub hash: DigestAlgorithm,
    pub is_session: bool,
}

/// The hash algorithms, the weakest one first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DigestAlgorithm {
    Md5,
    Sha256,
    Sha512_256,
}

const ALGORITHMS: [(&str, DigestAlgorithm, bool); 6] = [
    ("MD5", DigestAlgorithm::Md5, false),
    ("MD5-sess", DigestAlgorithm::Md5, true),
    ("SHA-256", DigestAlgorithm::Sha256, false),
    ("SHA-256-sess", DigestAlgorithm::Sha256, true),
    ("SHA-512-256", DigestAlgorithm::Sha512_256, false),
    ("SHA-512-256-sess", DigestAlgorithm::Sha512_256, true),
];

impl Algorithm {
    fn parse(text: &str) -> Option<Algorithm> {
        let (_, hash, is_session) =
            ALGORITHMS.iter().find(|(name, _, _)| name.eq_ignore_ascii_case(text))?;
        Some(Algorithm { hash: *hash, is_session: *is_session })
    }

    /// The name in header fields.
    pub fn name(self) -> &'static str {
        ALGORITHMS
            .iter()
            .find(|(_, hash, is_session)| *hash == self.hash && *is_session == self.is_session)
            .map_or("MD5", |(name, _, _)| name)
    }
}

impl DigestAlgorithm {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            DigestAlgorithm::Md5 => "md5",
            DigestAlgorithm::Sha256 => "sha-256",
            DigestAlgorithm::Sha512_256 => "sha-512-256",
        }
    }

    /// The hash of the parts joined by colons, in lower-case hexadecimal.
    pub(super) fn digest(self, parts: &[&[u8]]) -> String {
        let joined = Zeroizing::new(parts.join(&b':'));
        match self {
            DigestAlgorithm::Md5 => hex::encode(Md5::digest(joined.as_slice())),
            DigestAlgorithm::Sha256 => hex::encode(Sha256::digest(joined.as_slice())),
            DigestAlgorithm::Sha512_256 => hex::encode(Sha512_256::digest(joined.as_slice())),
        }
    }
}

/// The quality of protection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Qop {
    /// None, as in RFC 2069: without a nonce count.
    Absent,
    Auth,
    /// Covers the body too.
    AuthInt,
}

impl Qop {
    pub fn name(self) -> Option<&'static str> {
        match self {
            Qop::Absent => None,
            Qop::Auth => Some("auth"),
            Qop::AuthInt => Some("auth-int"),
        }
    }
}

/// A challenge that can be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    pub algorithm: Algorithm,
    /// Whether the challenge named the algorithm. Otherwise it is MD5, and the response does not name it either.
    pub names_algorithm: bool,
    pub qop: Qop,
    pub is_stale: bool,
}

impl Challenge {
    /// The Digest challenges of a header field with one or more challenges (RFC 9110 §11.6.1) that can
    /// be answered.
    pub fn parse_all(value: &str) -> impl Iterator<Item = Challenge> {
        let mut challenges: Vec<Vec<&str>> = Vec::new();
        for part in split_outside_quotes(value, b',') {
            match challenges.last_mut() {
                Some(parts) if !starts_challenge(part) => parts.push(part),
                _ => challenges.push(vec![part]),
            }
        }
        challenges.into_iter().filter_map(|parts| Challenge::parse(&parts))
    }

    /// Parses a scheme with its first parameter, and the other parameters.
    fn parse(parts: &[&str]) -> Option<Challenge> {
        let (first, parameters) = parts.split_first()?;
        let (scheme, first) = first.split_once(char::is_whitespace)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let find = |name: &str| {
            let mut parameters = std::iter::once(&first).chain(parameters);
            parameters.find_map(|parameter| {
                let (key, value) = parameter.split_once('=')?;
                key.trim().eq_ignore_ascii_case(name).then(|| unquote(value.trim()))
            })
        };
        let algorithm = find("algorithm");
        let qop = match find("qop") {
            None => Qop::Absent,
            Some(list) => {
                let has = |name: &str| list.split(',').any(|q| q.trim().eq_ignore_ascii_case(name));
                match (has("auth"), has("auth-int")) {
                    (true, _) => Qop::Auth,
                    (false, true) => Qop::AuthInt,
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
            qop,
            is_stale: find("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }
}

/// Whether a part between commas starts with a scheme, and not with the name of a parameter.
fn starts_challenge(part: &str) -> bool {
    let part = part.trim();
    match part.find(|c: char| c.is_whitespace() || c == '=') {
        // A scheme alone.
        None => !part.is_empty(),
        Some(end) => !part[end..].trim_start().starts_with('='),
    }
}

/// Removes the quotes and backslashes of a quoted value.
pub(super) fn unquote(value: &str) -> String {
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
