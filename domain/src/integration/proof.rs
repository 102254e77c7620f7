//! What proves that a request comes from the auth server: a signature of its body, or the secret itself.
//!
//! Everything is compared in constant time.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::kind::ProofScheme;
use super::secret::{HookSecret, has_hash};

/// How far a signature's time may be from ours.
const TOLERANCE_SECONDS: i64 = 300;
/// The most signatures of one request that are compared.
const MAX_SIGNATURES: usize = 16;

/// The headers that may prove a caller. `None` for one that is absent, repeated or not text.
#[derive(Default, Clone, Copy)]
pub struct ProofHeaders<'h> {
    pub authorization: Option<&'h str>,
    pub webhook_id: Option<&'h str>,
    pub webhook_timestamp: Option<&'h str>,
    pub webhook_signature: Option<&'h str>,
    pub zitadel_signature: Option<&'h str>,
}

/// What is kept of an integration's secret.
#[derive(Clone)]
pub enum Verifier {
    /// The SHA-256 of a secret that each request presents.
    Hash(ProofScheme, [u8; 32]),
    /// The key of signatures.
    Secret(ProofScheme, HookSecret),
}

/// A caller that was proven, with the secret that it shares with us.
pub struct Proven(Zeroizing<Vec<u8>>);

impl Proven {
    /// The secret's bytes, as a key for what must not be guessed from the database.
    pub fn secret(&self) -> &[u8] {
        &self.0
    }
}

impl Verifier {
    /// Checks who sent a request. `None` if it is not proven.
    pub fn verify(
        &self,
        headers: ProofHeaders<'_>,
        body: &[u8],
        now_seconds: i64,
    ) -> Option<Proven> {
        match self {
            Verifier::Hash(scheme, hash) => {
                let presented = presented_secret(headers.authorization?, *scheme)?;
                has_hash(&presented, hash).then(|| Proven(presented.as_bytes().to_vec().into()))
            }
            Verifier::Secret(scheme, secret) => {
                let is_valid = match scheme {
                    ProofScheme::StandardWebhooks => {
                        is_standard(secret, headers, body, now_seconds)
                    }
                    ProofScheme::Zitadel => is_zitadel(secret, headers, body, now_seconds),
                    ProofScheme::Bearer | ProofScheme::BearerOrBasic => false,
                };
                is_valid.then(|| Proven(secret.key().to_vec().into()))
            }
        }
    }

    /// Whether the proof needs the body.
    pub fn needs_body(&self) -> bool {
        matches!(self, Verifier::Secret(..))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(hidden)")
    }
}

/// The secret in an `Authorization` header: Bearer, or where the scheme allows it the password of Basic.
fn presented_secret(authorization: &str, scheme: ProofScheme) -> Option<Zeroizing<String>> {
    let (name, credentials) = authorization.trim().split_once(' ')?;
    let credentials = credentials.trim_matches(' ');
    if name.eq_ignore_ascii_case("bearer") {
        return Some(Zeroizing::new(credentials.to_owned()));
    }
    if scheme != ProofScheme::BearerOrBasic || !name.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = Zeroizing::new(STANDARD.decode(credentials).ok()?);
    let (_, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(Zeroizing::new(password.to_owned()))
}

/// The Standard Webhooks: `webhook-signature` has `v1,<base64>` several times, separated by blanks or commas.
fn is_standard(
    secret: &HookSecret,
    headers: ProofHeaders<'_>,
    body: &[u8],
    now_seconds: i64,
) -> bool {
    let (Some(id), Some(timestamp), Some(signatures)) =
        (headers.webhook_id, headers.webhook_timestamp, headers.webhook_signature)
    else {
        return false;
    };
    let timestamp = timestamp.trim();
    if !is_current(timestamp, now_seconds) {
        return false;
    }
    let signed = hmac(secret, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    let expected = STANDARD.encode(signed);
    let mut words = signatures.split([' ', ',', '\t']).filter(|word| !word.is_empty());
    let mut compared = 0;
    let mut is_valid = subtle::Choice::from(0);
    while let Some(word) = words.next() {
        // Other versions are for other keys.
        if word != "v1" {
            continue;
        }
        let Some(signature) = words.next() else {
            break;
        };
        is_valid |= expected.as_bytes().ct_eq(signature.as_bytes());
        compared += 1;
        if compared == MAX_SIGNATURES {
            break;
        }
    }
    is_valid.into()
}

/// `ZITADEL-Signature: t=<unix>,v1=<hex>`; several `v1` while its key is being changed.
fn is_zitadel(
    secret: &HookSecret,
    headers: ProofHeaders<'_>,
    body: &[u8],
    now_seconds: i64,
) -> bool {
    let Some(header) = headers.zitadel_signature else {
        return false;
    };
    let fields = || header.split(',').filter_map(|field| field.trim().split_once('='));
    let mut timestamps = fields().filter(|(name, _)| *name == "t").map(|(_, value)| value);
    let (Some(timestamp), None) = (timestamps.next(), timestamps.next()) else {
        return false;
    };
    if !is_current(timestamp, now_seconds) {
        return false;
    }
    let expected = hex::encode(hmac(secret, &[timestamp.as_bytes(), b".", body]));
    let signatures = fields().filter(|(name, _)| *name == "v1").take(MAX_SIGNATURES);
    let mut is_valid = subtle::Choice::from(0);
    for (_, signature) in signatures {
        is_valid |= expected.as_bytes().ct_eq(signature.to_ascii_lowercase().as_bytes());
    }
    is_valid.into()
}

fn is_current(timestamp: &str, now_seconds: i64) -> bool {
    let is_number = timestamp.bytes().all(|b| b.is_ascii_digit());
    let seconds: Option<i64> = is_number.then(|| timestamp.parse().ok()).flatten();
    seconds.is_some_and(|seconds| (now_seconds - seconds).abs() <= TOLERANCE_SECONDS)
}

fn hmac(secret: &HookSecret, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.key()).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integration::Kind;

    const NOW: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    /// The example of the Standard Webhooks' libraries.
    const STANDARD_SECRET: &str = "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const STANDARD_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn verifier(kind: Kind, secret: &str) -> Verifier {
        let secret = HookSecret::parse(kind, secret).unwrap();
        match kind.proof().is_signature() {
            true => Verifier::Secret(kind.proof(), secret),
            false => Verifier::Hash(kind.proof(), secret.hash()),
        }
    }

    fn standard(timestamp: &str, signature: &str, now: i64) -> bool {
        let headers = ProofHeaders {
            webhook_id: Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
            webhook_timestamp: Some(timestamp),
            webhook_signature: Some(signature),
            ..ProofHeaders::default()
        };
        verifier(Kind::Supabase, STANDARD_SECRET).verify(headers, BODY, now).is_some()
    }

    #[test]
    fn the_published_example_of_the_standard_webhooks_is_verified() {
        assert!(standard("1614265330", STANDARD_SIGNATURE, NOW));
        for now in [NOW - 300, NOW + 300] {
            assert!(standard("1614265330", STANDARD_SIGNATURE, now));
        }
        for now in [NOW - 301, NOW + 301, 0, i64::from(i32::MAX)] {
            assert!(!standard("1614265330", STANDARD_SIGNATURE, now));
        }
        for timestamp in
            ["", "1614265331", "1614265330.0", "+1614265330", "x", "99999999999999999999"]
        {
            assert!(!standard(timestamp, STANDARD_SIGNATURE, NOW), "{timestamp}");
        }
    }

    #[test]
    fn one_of_several_signatures_suffices_however_they_are_separated() {
        let other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
        for separator in [" ", ",", ", ", "  ", " , "] {
            for parts in [
                [other, STANDARD_SIGNATURE],
                [STANDARD_SIGNATURE, other],
                ["v1a,eA==", STANDARD_SIGNATURE],
            ] {
                assert!(
                    standard("1614265330", &parts.join(separator), NOW),
                    "{separator:?} {parts:?}"
                );
            }
            assert!(!standard("1614265330", &[other, other].join(separator), NOW));
        }
        let alone = STANDARD_SIGNATURE.trim_start_matches("v1,");
        let cut = &STANDARD_SIGNATURE[..20];
        for signature in
            ["", "v1", "v1,", "v1 v1", alone, cut, &STANDARD_SIGNATURE.replace("v1", "v2")]
        {
            assert!(!standard("1614265330", signature, NOW), "{signature}");
        }
    }

    #[test]
    fn a_missing_header_another_id_and_another_body_prove_nothing() {
        let verifier = verifier(Kind::Supabase, STANDARD_SECRET);
        let all = ProofHeaders {
            webhook_id: Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
            webhook_timestamp: Some("1614265330"),
            webhook_signature: Some(STANDARD_SIGNATURE),
            ..ProofHeaders::default()
        };
        assert!(verifier.verify(all, BODY, NOW).is_some());
        for headers in [
            ProofHeaders { webhook_id: None, ..all },
            ProofHeaders { webhook_timestamp: None, ..all },
            ProofHeaders { webhook_signature: None, ..all },
            ProofHeaders { webhook_id: Some("msg_2"), ..all },
            ProofHeaders::default(),
            ProofHeaders {
                authorization: Some("Bearer MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
                ..ProofHeaders::default()
            },
        ] {
            assert!(verifier.verify(headers, BODY, NOW).is_none());
        }
        assert!(verifier.verify(all, b"{}", NOW).is_none());
    }

    #[test]
    fn the_signature_of_zitadel_is_verified() {
        let verifier = verifier(Kind::Zitadel, "zitadel-signing-key");
        let secret = HookSecret::parse(Kind::Zitadel, "zitadel-signing-key").unwrap();
        let signature = hex::encode(hmac(&secret, &[b"1614265330.", BODY]));
        let is_valid = |header: &str, now| {
            let headers =
                ProofHeaders { zitadel_signature: Some(header), ..ProofHeaders::default() };
            verifier.verify(headers, BODY, now).is_some()
        };
        let good = format!("t=1614265330,v1={signature}");
        assert!(is_valid(&good, NOW) && is_valid(&good, NOW + 300) && !is_valid(&good, NOW + 301));
        assert!(is_valid(&format!("t=1614265330, v1=00, v1={signature}"), NOW));
        for header in [
            String::new(),
            format!("v1={signature}"),
            "t=1614265330".to_owned(),
            format!("t=1614265331,v1={signature}"),
            format!("t=1614265330,t=1614265330,v1={signature}"),
            format!("t=1614265330,v0={signature}"),
            format!("t=1614265330,v1={}", &signature[..62]),
        ] {
            assert!(!is_valid(&header, NOW), "{header}");
        }
    }

    #[test]
    fn a_secret_is_presented_as_bearer_or_where_allowed_as_the_password_of_basic() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for kind in
            [Kind::Logto, Kind::Kratos, Kind::Authentik, Kind::Keycloak, Kind::Auth0, Kind::Custom]
        {
            let verifier = verifier(kind, "a-shared:secret");
            let is_valid = |authorization: &str| {
                let headers =
                    ProofHeaders { authorization: Some(authorization), ..ProofHeaders::default() };
                verifier.verify(headers, b"", NOW).is_some()
            };
            for good in ["Bearer a-shared:secret", "bearer  a-shared:secret "] {
                assert!(is_valid(good), "{kind} {good}");
            }
            let takes_basic = matches!(kind, Kind::Kratos | Kind::Authentik);
            for pair in ["nexo:a-shared:secret", ":a-shared:secret"] {
                assert_eq!(is_valid(&basic(pair)), takes_basic, "{kind} {pair}");
            }
            for bad in [
                "",
                "Bearer",
                "Bearer ",
                "Bearer a-shared",
                "a-shared:secret",
                "Digest a-shared:secret",
                "Basic a-shared:secret",
                &basic("a-shared:secret"),
                &basic("nexo:wrong"),
            ] {
                assert!(!is_valid(bad), "{kind} {bad}");
            }
            assert!(verifier.verify(ProofHeaders::default(), b"", NOW).is_none());
            assert!(!format!("{verifier:?}").contains("secret"));
        }
    }
}
