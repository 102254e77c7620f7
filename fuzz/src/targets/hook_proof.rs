//! The proof of a hook: the first byte selects the kind of integration; then one header on each of three lines, and the
//! body. A request is proven only if a header has the secret, or the signature of these very bytes.

use nexo_domain::integration::proof::{ProofHeaders, Verifier};
use nexo_domain::integration::{HookSecret, Kind};
use nexo_domain::webhook::HashedSecret;

const NOW: i64 = 1_614_265_330;
/// `v1,whsec_` and the Base64 of [`key`].
const STANDARD: &str = "v1,whsec_ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ==";

/// The hash text is the HMAC's key, as for our own webhooks.
fn key() -> HashedSecret {
    HashedSecret::of("")
}

pub fn run(bytes: &[u8]) {
    let Some((selected, rest)) = bytes.split_first() else {
        return;
    };
    let kind = Kind::ALL[usize::from(*selected) % Kind::ALL.len()];
    let mut parts = rest.splitn(4, |byte| *byte == b'\n');
    let mut header = || parts.next().and_then(|line| std::str::from_utf8(line).ok());
    let lines = [header(), header(), header()];
    let body = parts.next().unwrap_or_default();
    let key = key();
    let text = match kind {
        Kind::Supabase => STANDARD,
        _ => key.as_record(),
    };
    let secret = HookSecret::parse(kind, text).expect("a secret of the kind");
    let is_signed = kind.proof().is_signature();
    let verifier = match is_signed {
        true => Verifier::Secret(kind.proof(), secret),
        false => Verifier::Hash(kind.proof(), secret.hash()),
    };
    let headers = ProofHeaders {
        authorization: lines[0],
        webhook_id: lines[0],
        webhook_timestamp: lines[1],
        webhook_signature: lines[2],
        zitadel_signature: lines[0],
    };
    if verifier.verify(headers, body, NOW).is_none() {
        return;
    }
    let first = lines[0].expect("a header of the proof");
    match kind {
        Kind::Supabase => {
            let seconds: i64 = lines[1].and_then(|line| line.trim().parse().ok()).expect("a time");
            assert!((NOW - seconds).abs() <= 300);
            let signatures = lines[2].expect("signatures");
            // A time with leading zeros is signed as it is written; then another text was signed.
            if lines[1].map(str::trim) == Some(seconds.to_string().as_str()) {
                let signed = key.sign_standard(first, seconds, body);
                let hex: String = signed.iter().map(|byte| format!("{byte:02x}")).collect();
                assert!(has_signature(signatures, &hex), "{signatures}");
            }
        }
        Kind::Zitadel => assert!(first.contains("t=") && first.contains("v1=")),
        _ => {
            assert!(first.contains(key.as_record()) || first.to_ascii_lowercase().contains("basic"))
        }
    }
}

/// Whether one of the words is the Base64 of these bytes, compared in hexadecimal.
fn has_signature(words: &str, hex: &str) -> bool {
    words.split([' ', ',', '\t']).any(|word| base64_as_hex(word).as_deref() == Some(hex))
}

fn base64_as_hex(word: &str) -> Option<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut hex) = (0u32, 0, String::new());
    for byte in word.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == byte)?;
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            hex.push_str(&format!("{:02x}", bits >> count & 0xff));
        }
    }
    Some(hex)
}
