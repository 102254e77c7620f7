//! Limits attempts to sign in, sign up and request e-mails, per client address and per account.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};

/// The kind of attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Of a password or a second factor.
    SignIn,
    SignUp,
    /// A request for an e-mail to an address.
    SendEmail,
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

/// The limiters of this process.
pub struct Throttle {
    sign_in: Limits,
    sign_up: Limits,
    send_email: Limits,
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
            // Many people may share an address; ten mistyped passwords for one account are too many.
            sign_in: Limits::new(quota(60, seconds(2)), quota(10, seconds(20))),
            sign_up: Limits::new(quota(60, seconds(20)), quota(10, seconds(60))),
            send_email: Limits::new(quota(20, seconds(60)), quota(3, seconds(600))),
        }
    }

    /// Counts an attempt. `Err` contains the seconds until the next attempt is allowed.
    pub fn check(&self, attempt: Attempt, address: IpAddr, account: &str) -> Result<(), u64> {
        let limits = match attempt {
            Attempt::SignIn => &self.sign_in,
            Attempt::SignUp => &self.sign_up,
            Attempt::SendEmail => &self.send_email,
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

    /// Removes addresses and accounts without recent attempts.
    pub fn remove_idle(&self) {
        for limits in [&self.sign_in, &self.sign_up, &self.send_email] {
            limits.by_address.retain_recent();
            limits.by_account.retain_recent();
            limits.by_address.shrink_to_fit();
            limits.by_account.shrink_to_fit();
        }
    }
}

/// The unit that is limited: an IPv4 address, or the /64 network of an IPv6 address, which has one owner.
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
    fn an_account_is_limited_over_all_addresses() {
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
    fn an_address_is_limited_over_all_accounts() {
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
