//! Referrals and their commissions.
//!
//! | step | rule |
//! |---|---|
//! | visit with `?ref=<code>` | remembered for 90 days |
//! | first sign-up | one permanent referral, unless referrer and new account are the same person |
//! | a delivered OTP | earns a tenth of its full cost, whichever bucket paid |
//! | revocation | pending commissions are reversed, and no further ones accrue |

use std::fmt;

use crate::account::email::EmailAddress;
use crate::money::Micros;

/// How many days a visit with a referral code is remembered.
pub const COOKIE_DAYS: i64 = 90;

/// The commission is the cost of an OTP divided by this.
const COMMISSION_DIVISOR: i64 = 10;

/// The commission for a delivered OTP of this cost: a tenth, rounded down to a whole micro-dollar.
pub fn commission(cost: Micros) -> Micros {
    Micros::new(cost.get().max(0) / COMMISSION_DIVISOR)
}

/// The permanent referral code of an account, as in its referral link.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ReferralCode(String);

impl ReferralCode {
    /// Parses a code. `None` if the text cannot be a code. Whether an account has the code is not checked.
    pub fn parse(text: &str) -> Option<ReferralCode> {
        let text = text.trim();
        let is_code =
            (6..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_code.then(|| ReferralCode(text.to_ascii_lowercase()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReferralCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ReferralCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key that identifies a person by e-mail address: addresses of one mailbox have the same key.
pub fn person(email: &str) -> String {
    match email.parse::<EmailAddress>() {
        Ok(address) => address.mailbox(),
        Err(_) => email.trim().to_lowercase(),
    }
}

/// An e-mail address as its referrer sees it: enough to recognise, not enough to send mail to.
pub fn masked_email(email: &str) -> String {
    let Some((mailbox, domain)) = email.split_once('@') else {
        return "•••".to_owned();
    };
    let first = mailbox.chars().next().map_or(String::new(), String::from);
    let (name, top) = domain.rsplit_once('.').unwrap_or((domain, ""));
    let initial = name.chars().next().map_or(String::new(), String::from);
    match top {
        "" => format!("{first}•••@{initial}•••"),
        top => format!("{first}•••@{initial}•••.{top}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_commission_is_a_tenth_rounded_down() {
        for (cost, earned) in [(22_000, 2_200), (9, 0), (10, 1), (19, 1), (0, 0), (-5, 0)] {
            assert_eq!(commission(Micros::new(cost)), Micros::new(earned));
        }
    }

    #[test]
    fn addresses_of_one_mailbox_are_one_person() {
        for (address, whose) in [
            ("A.B@Gmail.com", "ab@gmail.com"),
            ("ab+otp@googlemail.com", "ab@gmail.com"),
            ("a.b+x+y@example.com", "a.b@example.com"),
            ("+tag@example.com", "+tag@example.com"),
            (" Ops@Example.COM ", "ops@example.com"),
            ("demo@localhost", "demo@localhost"),
            ("a.b+x@ｇｍａｉｌ.com", "ab@gmail.com"),
            ("ops@bücher.example", "ops@xn--bcher-kva.example"),
            ("a-b_c.d@protonmail.com", "abcd@proton.me"),
            ("a.b@me.com", "a.b@icloud.com"),
        ] {
            assert_eq!(person(address), whose, "{address}");
        }
        assert_ne!(person("a.b@example.com"), person("ab@example.com"));
    }

    #[test]
    fn a_masked_address_does_not_reveal_the_mailbox() {
        assert_eq!(masked_email("minh.tran@example.com"), "m•••@e•••.com");
        assert_eq!(masked_email("demo@localhost"), "d•••@l•••");
        assert_eq!(masked_email("nonsense"), "•••");
    }

    #[test]
    fn a_code_is_6_to_32_letters_and_digits() {
        assert_eq!(ReferralCode::parse(" 1A2b3c4d5e6f ").unwrap().as_str(), "1a2b3c4d5e6f");
        for text in ["", "abc", "1a2b3c4d5e6f'", "é23456789", &"a".repeat(33)] {
            assert_eq!(ReferralCode::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_key_of_a_person_is_stable(email in "[a-zA-Z.+]{1,12}@(gmail|googlemail|example)\\.com") {
            let once = person(&email);
            prop_assert_eq!(person(&once), once);
        }

        #[test]
        fn a_commission_is_never_more_than_a_tenth(cost in 0i64..i64::MAX) {
            let earned = commission(Micros::new(cost)).get();
            prop_assert!(earned <= cost / 10 && earned >= (cost - 9) / 10);
        }
    }
}
