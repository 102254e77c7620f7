//! Top-ups: the reference by which a payment is recognised, and what it is worth.

use std::fmt;

use crate::money::Micros;

/// Without I, L, O and U, which are read as others.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const PREFIX: &str = "NX";
/// Characters before the check character.
const BODY: usize = 8;
const LENGTH: usize = PREFIX.len() + BODY + 1;

/// What a customer writes on a payment: `NX`, eight characters and one that checks them.
///
/// Banks write memos in capitals, and put words before and after: it is found in whatever they make of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DepositReference(String);

impl DepositReference {
    /// A new reference out of randomness.
    pub fn from_random(random: [u8; BODY]) -> DepositReference {
        let body = random.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        let body: String = body.iter().collect();
        let check = check(&body);
        DepositReference(format!("{PREFIX}{body}{check}"))
    }

    /// A reference as it was written; `None` for what is none, or has a typing error.
    pub fn parse(text: &str) -> Option<DepositReference> {
        let found = DepositReference::found_in(text);
        let letters = text.chars().filter(|c| c.is_ascii_alphanumeric()).count();
        match (found.as_slice(), letters) {
            ([one], LENGTH) => Some(one.clone()),
            _ => None,
        }
    }

    /// All references in a payment's memo, which may be spaced and surrounded as the bank likes.
    pub fn found_in(memo: &str) -> Vec<DepositReference> {
        let letters: String = memo
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let mut found: Vec<DepositReference> = Vec::new();
        for (place, _) in letters.match_indices(PREFIX) {
            let Some(text) = letters.get(place..place + LENGTH) else {
                break;
            };
            let (body, last) = text[PREFIX.len()..].split_at(BODY);
            let is_of_alphabet = body.bytes().all(|byte| ALPHABET.contains(&byte));
            let reference = DepositReference(text.to_owned());
            if is_of_alphabet && last.starts_with(check(body)) && !found.contains(&reference) {
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

/// A letter swapped or mistyped changes it, 31 times of 32.
fn check(body: &str) -> char {
    let sum = crc32fast::hash(body.as_bytes()) % 32;
    char::from(ALPHABET[sum as usize])
}

/// How many đồng a US dollar costs. More than zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VndRate(i64);

/// The most that is converted: a thousand billion đồng.
const LARGEST_VND: i64 = 1_000_000_000_000_000;

impl VndRate {
    pub fn per_dollar(vnd: i64) -> Option<VndRate> {
        (1..=1_000_000).contains(&vnd).then_some(VndRate(vnd))
    }

    pub fn get(self) -> i64 {
        self.0
    }

    /// What is to be paid for an amount of dollars: rounded up to a whole đồng. `None` past the range.
    pub fn vnd(self, amount: Micros) -> Option<i64> {
        let exact = i128::from(amount.get()) * i128::from(self.0);
        let vnd = i64::try_from((exact + 999_999) / 1_000_000).ok()?;
        (1..=LARGEST_VND).contains(&vnd).then_some(vnd)
    }

    /// What so many đồng are worth: rounded down to a whole micro-dollar. `None` past the range.
    pub fn dollars(self, vnd: i64) -> Option<Micros> {
        if !(1..=LARGEST_VND).contains(&vnd) {
            return None;
        }
        let micros = i128::from(vnd) * 1_000_000 / i128::from(self.0);
        let micros = i64::try_from(micros).ok().filter(|micros| *micros > 0)?;
        Some(Micros::new(micros))
    }
}

/// Why a payment was not credited by itself, and waits for an operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// Its memo has no reference, or one that nobody was given.
    UnknownReference,
    /// Its memo has several references.
    Ambiguous,
    /// Less or more than was to be paid.
    WrongAmount,
    /// The reference was credited before, or its deposit refused.
    ReferenceUsed,
    /// The account is closed.
    AccountClosed,
    /// Not in đồng.
    WrongCurrency,
}

impl Kept {
    pub const ALL: [Kept; 6] = [
        Kept::UnknownReference,
        Kept::Ambiguous,
        Kept::WrongAmount,
        Kept::ReferenceUsed,
        Kept::AccountClosed,
        Kept::WrongCurrency,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Kept::UnknownReference => "unknown_reference",
            Kept::Ambiguous => "ambiguous",
            Kept::WrongAmount => "wrong_amount",
            Kept::ReferenceUsed => "reference_used",
            Kept::AccountClosed => "account_closed",
            Kept::WrongCurrency => "wrong_currency",
        }
    }

    /// The reason of this name, as payments are kept with it.
    pub fn named(name: &str) -> Option<Kept> {
        Kept::ALL.into_iter().find(|kept| kept.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reference_is_found_in_what_banks_make_of_it() {
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
    fn a_typing_error_is_noticed() {
        let reference = DepositReference::from_random(*b"deposits");
        let wrong = reference.as_str().replace('X', "Y");
        assert_eq!(DepositReference::parse(&wrong), None);
        let mut letters: Vec<char> = reference.as_str().chars().collect();
        letters[4] = if letters[4] == 'A' { 'B' } else { 'A' };
        let wrong: String = letters.iter().collect();
        assert!(DepositReference::parse(&wrong).is_none());
    }

    #[test]
    fn dollars_cost_whole_dong_rounded_up_and_are_worth_micros_rounded_down() {
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
        fn every_reference_is_read_again(random in any::<[u8; 8]>()) {
            let reference = DepositReference::from_random(random);
            prop_assert_eq!(DepositReference::parse(reference.as_str()), Some(reference));
        }

        #[test]
        fn what_is_paid_for_dollars_is_worth_them(micros in 1i64..1_000_000_000_000, rate in 1i64..1_000_000) {
            let rate = VndRate::per_dollar(rate).unwrap();
            let paid = rate.vnd(Micros::new(micros)).unwrap();
            // A micro-dollar below a đồng's worth is paid with a whole one.
            if let Some(worth) = rate.dollars(paid) {
                prop_assert!(worth >= Micros::new(micros));
                prop_assert!(worth.get() - micros <= 1_000_000 / rate.get() + 1);
            }
        }

        #[test]
        fn no_memo_makes_it_stumble(memo in "\\PC{0,60}") {
            let _ = DepositReference::found_in(&memo);
        }
    }
}
