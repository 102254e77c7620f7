//! The code of a verification. It is computed from the verification's id whenever it is needed, and never stored.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ids::VerificationId;
use crate::installation_secret::{InstallationSecret, KEY_BYTES};
use crate::otp::{Code, MAX_DIGITS, MIN_DIGITS};

/// The purpose for which the key is derived.
const PURPOSE: &str = "verification codes";

/// The number of digits of a code: 4 to 8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeLength(u8);

impl CodeLength {
    /// `None` unless it is 4 to 8.
    pub fn new(digits: u8) -> Option<CodeLength> {
        let is_valid = (MIN_DIGITS..=MAX_DIGITS).contains(&usize::from(digits));
        is_valid.then_some(CodeLength(digits))
    }

    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for CodeLength {
    /// Six digits.
    fn default() -> CodeLength {
        CodeLength(6)
    }
}

/// The key of the codes, derived from the secret of the installation. `Debug` hides it.
#[derive(Clone)]
pub struct CodeKey(Zeroizing<[u8; KEY_BYTES]>);

impl CodeKey {
    pub fn of(secret: &InstallationSecret) -> CodeKey {
        CodeKey(secret.derive(PURPOSE))
    }

    /// The code of a verification, uniform over all codes of its length.
    pub fn code(&self, id: VerificationId, length: CodeLength) -> Code {
        code_at(*self.fraction(id), length)
    }

    /// The first half of the HMAC-SHA256 of the id. Without the key it cannot be told from a uniform number of 128 bits.
    fn fraction(&self, id: VerificationId) -> Zeroizing<u128> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref())
            .expect("HMAC takes a key of any length");
        mac.update(id.0.as_bytes());
        let digest: Zeroizing<[u8; 32]> = Zeroizing::new(mac.finalize().into_bytes().into());
        let mut half = Zeroizing::new([0; 16]);
        half.copy_from_slice(&digest[..16]);
        Zeroizing::new(u128::from_be_bytes(*half))
    }
}

impl fmt::Debug for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeKey(hidden)")
    }
}

/// The code at `fraction`/2^128 of all codes of this length, in their order.
///
/// The share of the fractions that lead to a code differs between two codes by 2^-128 at most. A remainder would prefer
/// small codes as little, but a multiplication needs no division and its bias is spread over all codes.
fn code_at(fraction: u128, length: CodeLength) -> Code {
    let codes = 10_u128.pow(u32::from(length.0));
    // The upper bits of a product of 128 and 27 bits, in two steps that fit into 128 bits.
    let (high, low) = (fraction >> 64, fraction & u128::from(u64::MAX));
    let number = (high * codes + ((low * codes) >> 64)) >> 64;
    Code::of_number(number as u64, length.0)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(byte: u8) -> CodeKey {
        CodeKey::of(&InstallationSecret::from_random([byte; KEY_BYTES]))
    }

    fn id(n: u128) -> VerificationId {
        VerificationId(Uuid::from_u128(n))
    }

    fn length(digits: u8) -> CodeLength {
        CodeLength::new(digits).unwrap()
    }

    fn number(code: &Code) -> usize {
        code.digits().iter().fold(0, |number, digit| number * 10 + usize::from(*digit))
    }

    #[test]
    fn a_code_depends_on_the_secret_and_the_id_alone() {
        assert_eq!(key(1).code(id(1), length(8)), key(1).code(id(1), length(8)));
        assert_ne!(key(1).code(id(1), length(8)), key(2).code(id(1), length(8)));
        assert_ne!(key(1).code(id(1), length(8)), key(1).code(id(2), length(8)));
        assert_eq!(key(1).code(id(1), CodeLength::default()).digits().len(), 6);
        assert_eq!([3, 9, 0].map(CodeLength::new), [None; 3]);
        assert_eq!(format!("{:?}", key(1)), "CodeKey(hidden)");
    }

    #[test]
    fn the_first_and_the_last_fraction_are_the_first_and_the_last_code() {
        for digits in 4..=8 {
            let last = 10_usize.pow(u32::from(digits)) - 1;
            assert_eq!(number(&code_at(0, length(digits))), 0);
            assert_eq!(number(&code_at(u128::MAX, length(digits))), last);
            // The fractions of a code end where those of the next one begin.
            let codes = last as u128 + 1;
            let begin =
                |code: u128| u128::MAX / codes * code + (u128::MAX % codes * code) / codes + 1;
            for code in [1, codes / 2, codes - 1] {
                let expected = code as usize;
                assert_eq!(number(&code_at(begin(code) + 1, length(digits))), expected);
                assert_eq!(number(&code_at(begin(code) - 2, length(digits))), expected - 1);
            }
        }
    }

    /// χ² of the counts against a uniform distribution.
    fn chi_squared(counts: &[u32]) -> f64 {
        let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
        counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
    }

    /// The ids are always the same, so this either holds or not.
    #[test]
    fn a_million_codes_of_each_length_are_uniform() {
        const CODES: u128 = 1_000_000;
        let key = key(7);
        let fractions: Vec<u128> = (0..CODES).map(|n| *key.fraction(id(n << 64 | n))).collect();
        for digits in 4..=8 {
            // By the first four digits, and by the last four.
            let (mut first, mut last) = (vec![0; 10_000], vec![0; 10_000]);
            let mut at_place = vec![[0; 10]; usize::from(digits)];
            for fraction in &fractions {
                let code = code_at(*fraction, length(digits));
                let number = number(&code);
                first[number / 10_usize.pow(u32::from(digits) - 4)] += 1;
                last[number % 10_000] += 1;
                for (counts, digit) in at_place.iter_mut().zip(code.digits()) {
                    counts[usize::from(*digit)] += 1;
                }
            }
            // χ² with n degrees of freedom has the mean n and the variance 2n. The bound is 4.5 standard deviations.
            let is_uniform = |counts: &[u32]| {
                let freedom = counts.len() as f64 - 1.0;
                (chi_squared(counts) - freedom) / (2.0 * freedom).sqrt()
            };
            for counts in [&first, &last] {
                assert!(is_uniform(counts).abs() < 4.5, "{digits} digits: {}", is_uniform(counts));
            }
            for counts in &at_place {
                assert!(is_uniform(counts) < 6.0, "{digits} digits: {counts:?}");
            }
        }
    }
}
