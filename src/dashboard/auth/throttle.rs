//! How often somebody may try: by the address he comes from, and by the account that he means.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// A password or a second factor, of an account.
    SignIn,
    SignUp,
    /// To have a letter sent to an address.
    Letter,
}

struct Limits {
    by_address: DefaultKeyedRateLimiter<[u8; 16]>,
    by_account: DefaultKeyedRateLimiter<[u8; 32]>,
}

impl Limits {
    fn new(address: Quota, account: Quota) -> Limits {
        Limits {
            by_address: RateLimiter::keyed(address),
            by_account: RateLimiter::keyed(account),
        }
    }
}

/// The limiters of every kind of attempt, of this process.
pub struct Throttle {
    sign_in: Limits,
    sign_up: Limits,
    letter: Limits,
}

/// `burst` at once, and one more each `period` after that.
fn quota(burst: u32, period: Duration) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(period)
        .unwrap_or_else(|| Quota::per_second(burst))
        .allow_burst(burst)
}

impl Throttle {
    pub fn new() -> Throttle {
        let seconds = Duration::from_secs;
        Throttle {
            // Many people share an address; nobody mistypes a password ten times.
            sign_in: Limits::new(quota(60, seconds(2)), quota(10, seconds(20))),
            sign_up: Limits::new(quota(60, seconds(20)), quota(10, seconds(60))),
            letter: Limits::new(quota(20, seconds(60)), quota(3, seconds(600))),
        }
    }

    /// Counts an attempt; `Err` holds the seconds after which the next one may be made.
    pub fn check(&self, attempt: Attempt, address: IpAddr, account: &str) -> Result<(), u64> {
        let limits = match attempt {
            Attempt::SignIn => &self.sign_in,
            Attempt::SignUp => &self.sign_up,
            Attempt::Letter => &self.letter,
        };
        let clock = DefaultClock::default();
        let seconds =
            |not_until: governor::NotUntil<_>| not_until.wait_time_from(clock.now()).as_secs() + 1;
        limits
            .by_address
            .check_key(&network(address))
            .map_err(seconds)?;
        let account: [u8; 32] = Sha256::digest(account.as_bytes()).into();
        limits.by_account.check_key(&account).map_err(seconds)
    }

    /// Forgets those who have long not tried.
    pub fn tidy(&self) {
        for limits in [&self.sign_in, &self.sign_up, &self.letter] {
            limits.by_address.retain_recent();
            limits.by_account.retain_recent();
            limits.by_address.shrink_to_fit();
            limits.by_account.shrink_to_fit();
        }
    }
}

/// Who has one IPv6 address has the other 2⁶⁴ of its network too.
fn network(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_account_is_guarded_from_all_addresses_together() {
        let throttle = Throttle::new();
        for n in 0..10_u8 {
            let address = IpAddr::from([203, 0, 113, n]);
            assert_eq!(throttle.check(Attempt::SignIn, address, "a@b"), Ok(()));
        }
        let wait = throttle.check(Attempt::SignIn, ip("203.0.113.99"), "a@b");
        assert!(
            wait.is_err_and(|seconds| (1..=20).contains(&seconds)),
            "{wait:?}"
        );
        assert_eq!(
            throttle.check(Attempt::SignIn, ip("203.0.113.99"), "c@d"),
            Ok(())
        );
    }

    #[test]
    fn an_address_is_held_back_whatever_account_it_means() {
        let throttle = Throttle::new();
        for n in 0..60 {
            let from = format!("2001:db8::{n:x}");
            let account = format!("{n}@b");
            assert_eq!(throttle.check(Attempt::SignIn, ip(&from), &account), Ok(()));
        }
        assert!(
            throttle
                .check(Attempt::SignIn, ip("2001:db8::ffff"), "x@b")
                .is_err()
        );
        assert_eq!(
            throttle.check(Attempt::SignIn, ip("2001:db8:0:1::1"), "y@b"),
            Ok(())
        );
    }
}
