//! Deposits: the reference that identifies a payment, and the exchange rate.

use std::fmt;

use crate::money::Micros;
use crate::schema::{schema, serialize_as_word, words};

/// Without I, L, O and U, which are easily misread.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const PREFIX: &str = "NX";
/// Characters between the prefix and the check character.
const BODY: usize = 8;
const LENGTH: usize = PREFIX.len() + BODY + 1;

/// The reference that a customer writes on a payment: `NX`, eight characters and a check character.
///
/// Banks write memos in capitals and add words. [`DepositReference::found_in`] finds the reference anyway.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DepositReference(String);

impl DepositReference {
    /// Creates a reference from random bytes.
    pub fn from_random(random: [u8; BODY]) -> DepositReference {
        let body = random.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        let body: String = body.iter().collect();
        let check = check(&body);
        DepositReference(format!("{PREFIX}{body}{check}"))
    }

    /// Parses a reference. `None` if the text is not a reference, or has a typing error.
    pub fn parse(text: &str) -> Option<DepositReference> {
        let found = DepositReference::found_in(text);
        let letters = text.chars().filter(|c| c.is_ascii_alphanumeric()).count();
        match (found.as_slice(), letters) {
            ([one], LENGTH) => Some(one.clone()),
            _ => None,
        }
    }

    /// All references in the memo of a payment. Spaces, separators and other words are ignored.
    pub fn found_in(memo: &str) -> Vec<DepositReference> {
        let letters: String = memo
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let mut found: Vec<DepositReference> = Vec::new();
        for (start, _) in letters.match_indices(PREFIX) {
            let Some(text) = letters.get(start..start + LENGTH) else {
                break;
            };
            let (body, last) = text[PREFIX.len()..].split_at(BODY);
            let is_in_alphabet = body.bytes().all(|byte| ALPHABET.contains(&byte));
            let reference = DepositReference(text.to_owned());
            if is_in_alphabet && last.starts_with(check(body)) && !found.contains(&reference) {
                found.push(reference);
            }
        }
        found
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DepositReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DepositReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The check character. It detects 31 of 32 typing errors.
fn check(body: &str) -> char {
    let sum = crc32fast::hash(body.as_bytes()) % 32;
    char::from(ALPHABET[sum as usize])
}

/// The price of a US dollar in đồng. More than zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VndRate(i64);

/// The largest amount that is converted, in đồng.
const MAX_VND: i64 = 1_000_000_000_000_000;

impl VndRate {
    pub fn per_dollar(vnd: i64) -> Option<VndRate> {
        (1..=1_000_000).contains(&vnd).then_some(VndRate(vnd))
    }

    pub fn get(self) -> i64 {
        self.0
    }

    /// Converts dollars to đồng, rounded up to a whole đồng. `None` if out of range.
    pub fn vnd(self, amount: Micros) -> Option<i64> {
        let exact = i128::from(amount.get()) * i128::from(self.0);
        let vnd = i64::try_from((exact + 999_999) / 1_000_000).ok()?;
        (1..=MAX_VND).contains(&vnd).then_some(vnd)
    }

    /// Converts đồng to dollars, rounded down to a whole micro-dollar. `None` if out of range.
    pub fn dollars(self, vnd: i64) -> Option<Micros> {
        if !(1..=MAX_VND).contains(&vnd) {
            return None;
        }
        let micros = i128::from(vnd) * 1_000_000 / i128::from(self.0);
        let micros = i64::try_from(micros).ok().filter(|micros| *micros > 0)?;
        Some(Micros::new(micros))
    }
}

/// Why a payment was not credited automatically, and waits for an operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoldReason {
    /// The memo has no reference, or an unknown one.
    UnknownReference,
    /// The memo has several references.
    Ambiguous,
    /// The amount differs from the amount of the deposit.
    WrongAmount,
    /// The reference was credited before, or its deposit was refused.
    ReferenceUsed,
    /// The account is closed.
    AccountClosed,
    /// The account is suspended.
    AccountSuspended,
    /// The currency is not the đồng.
    WrongCurrency,
}

schema!(
    HoldReason,
    "HoldReason",
    words("Why a payment waits for an operator.", HoldReason::ALL.map(HoldReason::as_str))
);
serialize_as_word!(HoldReason, HoldReason::as_str);

impl HoldReason {
    pub const ALL: [HoldReason; 7] = [
        HoldReason::UnknownReference,
        HoldReason::Ambiguous,
        HoldReason::WrongAmount,
        HoldReason::ReferenceUsed,
        HoldReason::AccountClosed,
        HoldReason::AccountSuspended,
        HoldReason::WrongCurrency,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            HoldReason::UnknownReference => "unknown_reference",
            HoldReason::Ambiguous => "ambiguous",
            HoldReason::WrongAmount => "wrong_amount",
            HoldReason::ReferenceUsed => "reference_used",
            HoldReason::AccountClosed => "account_closed",
            HoldReason::AccountSuspended => "account_suspended",
            HoldReason::WrongCurrency => "wrong_currency",
        }
    }

    /// The reason with this name, as stored with payments.
    pub fn named(name: &str) -> Option<HoldReason> {
        HoldReason::ALL.into_iter().find(|kept| kept.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reference_is_found_in_the_memos_of_banks() {
        let reference = DepositReference::from_random([1, 2, 3, 4, 5, 6, 7, 255]);
        let text = reference.as_str();
        assert_eq!(text.len(), 11);
        let spaced = format!("{} {}", &text[..5], &text[5..]);
        for memo in [
            text.to_owned(),
            format!("MBVCB.123.{}.CT tu 0123 NGUYEN VAN A", text.to_lowercase()),
            format!("NX {spaced}-Chuyen tien"),
            format!("{text}{text}"),
        ] {
            assert_eq!(
                DepositReference::found_in(&memo),
                std::slice::from_ref(&reference),
                "{memo}"
            );
        }
        assert_eq!(DepositReference::parse(&spaced), Some(reference.clone()));
        assert_eq!(DepositReference::parse(&format!("x{text}")), None);
        for memo in ["", "NX", "NX0000000", "chuyển khoản", "NXILOUILOU0"] {
            assert!(DepositReference::found_in(memo).is_empty(), "{memo}");
        }
    }

    #[test]
    fn a_typing_error_is_detected() {
        let reference = DepositReference::from_random(*b"deposits");
        let wrong = reference.as_str().replace('X', "Y");
        assert_eq!(DepositReference::parse(&wrong), None);
        let mut letters: Vec<char> = reference.as_str().chars().collect();
        letters[4] = if letters[4] == 'A' { 'B' } else { 'A' };
        let wrong: String = letters.iter().collect();
        assert!(DepositReference::parse(&wrong).is_none());
    }

    #[test]
    fn dollars_are_converted_to_dong_rounded_up_and_back_rounded_down() {
        let rate = VndRate::per_dollar(26_000).unwrap();
        assert_eq!(rate.vnd(Micros::new(10_000_000)), Some(260_000));
        assert_eq!(rate.vnd(Micros::new(1)), Some(1));
        assert_eq!(rate.vnd(Micros::new(22_000)), Some(572));
        assert_eq!(rate.vnd(Micros::ZERO), None);
        assert_eq!(rate.dollars(260_000), Some(Micros::new(10_000_000)));
        assert_eq!(rate.dollars(1), Some(Micros::new(38)));
        assert_eq!(rate.dollars(0), None);
        assert_eq!(rate.dollars(i64::MAX), None);
        assert_eq!(VndRate::per_dollar(0), None);
    }

    proptest! {
        #[test]
        fn every_reference_can_be_parsed(random in any::<[u8; 8]>()) {
            let reference = DepositReference::from_random(random);
            prop_assert_eq!(DepositReference::parse(reference.as_str()), Some(reference));
        }

        #[test]
        fn the_dong_for_dollars_are_worth_at_least_these_dollars(micros in 1i64..1_000_000_000_000, rate in 1i64..1_000_000) {
            let rate = VndRate::per_dollar(rate).unwrap();
            let paid = rate.vnd(Micros::new(micros)).unwrap();
            // An amount below one đồng costs a whole đồng.
            if let Some(worth) = rate.dollars(paid) {
                prop_assert!(worth >= Micros::new(micros));
                prop_assert!(worth.get() - micros <= 1_000_000 / rate.get() + 1);
            }
        }

        #[test]
        fn no_memo_makes_the_parser_panic(memo in "\\PC{0,60}") {
            let _ = DepositReference::found_in(&memo);
        }
    }
}
