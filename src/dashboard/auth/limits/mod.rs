//! Limits attempts to guess a password or a code, to sign up and to send e-mails.
//!
//! Attempts of strangers count by account and network, by network, and by account. So a stranger slows down the
//! own network first, and a guess that comes from many networks slows down strangers only: a session, a browser that
//! signed in to the account before ([`known_browser`]) and the holder of an e-mailed link have limits of their own.
//!
//! A network is an IPv4 address or the /56 of an IPv6 address, as in the quotas. Providers assign a /56 to one
//! customer, who could use each of its 256 /64 networks as a new address otherwise. An attacker with many networks
//! meets the limit of the account.
//!
//! A code whose second-step ticket proves no password counts by network only, in a store of its own. The ids in such
//! tickets are forged, and must not push real counts out of a store.
//!
//! The limits are those of one process: several nodes allow as many times more.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{Quota, RateLimiter};
use nexo_domain::ids::SessionId;
use sha2::{Digest, Sha256};

pub mod known_browser;
mod store;

use super::hashing::Priority;
use known_browser::BrowserId;
use store::{BoundedStore, Key};

/// The kind of attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Of a password.
    Password,
    /// Of a code of the second factor, after the right password.
    Code,
    SignUp,
    /// A request for an e-mail to an address.
    SendEmail,
}

/// Who makes an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Has proved to belong to the account, and has a limit of its own.
    Proven(Key),
    Stranger(IpAddr),
}

impl Caller {
    /// A session of the account.
    pub fn session(id: SessionId) -> Caller {
        Caller::Proven(key("session", id.0.as_bytes()))
    }

    /// A browser that signed in to the account before.
    pub fn browser(id: BrowserId) -> Caller {
        Caller::Proven(key("browser", &id.0))
    }

    /// How the queue of hashes treats it.
    pub fn priority(self) -> Priority {
        match self {
            Caller::Proven(_) => Priority::Proven,
            Caller::Stranger(_) => Priority::Stranger,
        }
    }

    /// The holder of a link that was sent to the account's mailbox.
    pub fn link(token: &str) -> Caller {
        Caller::Proven(key("link", token.as_bytes()))
    }
}

/// Limits the attempts of each key.
struct Limiter(RateLimiter<Key, BoundedStore, DefaultClock>);

impl Limiter {
    /// Allows `burst` attempts at once and one more each `period` after that, for each of at most `max_keys` keys.
    fn new(burst: u32, period_seconds: u64, max_keys: usize) -> Limiter {
        let period = Duration::from_secs(period_seconds);
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(period)
            .unwrap_or_else(|| Quota::per_second(burst))
            .allow_burst(burst);
        let store = BoundedStore::new(max_keys);
        Limiter(RateLimiter::new(quota, store, DefaultClock::default()))
    }

    /// Counts an attempt. `Err` contains the seconds until the next one is allowed.
    fn check(&self, key: Key) -> Result<(), u64> {
        let checked = self.0.check_key(&key);
        checked.map_err(|not_until| {
            let now = DefaultClock::default().now();
            not_until.wait_time_from(now).as_secs() + 1
        })
    }
}

struct Limits {
    /// Of a proven caller.
    proven: Limiter,
    /// Of strangers, by account and network.
    pair: Limiter,
    /// Of strangers, by network over all accounts.
    network: Limiter,
    /// Of strangers, by account over all networks. A distributed guess is bounded by it.
    account: Limiter,
}

/// The limiters of this process.
pub struct Throttle {
    password: Limits,
    code: Limits,
    /// Of codes without a proven password, by network.
    unproven_code: Limiter,
    sign_up: Limits,
    send_email: Limits,
}

impl Throttle {
    pub fn new() -> Throttle {
        const FEW: usize = 8_192;
        const MANY: usize = 32_768;
        // To push a key out of a store, an attacker must make as many attempts as it has keys, which the other
        // limits prevent.
        const ACCOUNTS: usize = 131_072;
        Throttle {
            password: Limits {
                proven: Limiter::new(10, 20, MANY),
                // Slower than the account's limit: one network alone never uses that up.
                pair: Limiter::new(10, 60, MANY),
                // Many people may share an address.
                network: Limiter::new(60, 2, MANY),
                account: Limiter::new(100, 10, ACCOUNTS),
            },
            code: Limits {
                proven: Limiter::new(10, 60, FEW),
                pair: Limiter::new(10, 300, FEW),
                network: Limiter::new(60, 2, FEW),
                // A million codes, three of which are valid: 1,440 guesses a day succeed once in eight months.
                account: Limiter::new(30, 60, FEW),
            },
            unproven_code: Limiter::new(60, 2, FEW),
            sign_up: Limits {
                proven: Limiter::new(10, 60, FEW),
                pair: Limiter::new(10, 60, FEW),
                network: Limiter::new(60, 20, FEW),
                account: Limiter::new(30, 60, FEW),
            },
            send_email: Limits {
                proven: Limiter::new(3, 600, FEW),
                // Slower than the account's limit: a few networks never use that up for good.
                pair: Limiter::new(3, 1_800, FEW),
                network: Limiter::new(20, 60, FEW),
                // Keeps strangers from flooding a mailbox.
                account: Limiter::new(10, 600, FEW),
            },
        }
    }

    fn limits(&self, attempt: Attempt) -> &Limits {
        match attempt {
            Attempt::Password => &self.password,
            Attempt::Code => &self.code,
            Attempt::SignUp => &self.sign_up,
            Attempt::SendEmail => &self.send_email,
        }
    }

    /// Counts an attempt for `account`: its address or id as text. `Err` contains the seconds until the next attempt
    /// is allowed.
    ///
    /// An attempt that one limit refuses does not count against the next one, so a network that is over its own
    /// limit does not use up the account's.
    pub fn check(&self, attempt: Attempt, caller: Caller, account: &str) -> Result<(), u64> {
        let limits = self.limits(attempt);
        let address = match caller {
            Caller::Proven(key) => return limits.proven.check(key),
            Caller::Stranger(address) => address,
        };
        let network = network(address);
        let pair = [&network[..], account.as_bytes()].concat();
        limits.pair.check(key("pair", &pair))?;
        limits.network.check(key("network", &network))?;
        limits.account.check(key("account", account.as_bytes()))
    }

    /// Counts an attempt of a code with a second-step ticket that proves no password. `Err` contains the seconds until
    /// the next attempt is allowed.
    pub fn check_unproven_code(&self, address: IpAddr) -> Result<(), u64> {
        self.unproven_code.check(key("network", &network(address)))
    }

    /// Removes keys without recent attempts.
    pub fn remove_idle(&self) {
        self.unproven_code.0.retain_recent();
        for limits in [&self.password, &self.code, &self.sign_up, &self.send_email] {
            for limiter in [&limits.proven, &limits.pair, &limits.network, &limits.account] {
                limiter.0.retain_recent();
            }
        }
    }
}

/// The first half of the SHA-256 of what is counted.
fn key(kind: &str, bytes: &[u8]) -> Key {
    let mut digest = Sha256::new();
    digest.update(kind.as_bytes());
    digest.update([0]);
    digest.update(bytes);
    let digest: [u8; 32] = digest.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    Key::from_be_bytes(half)
}

/// The unit that is limited: an IPv4 address, or the /56 network of an IPv6 address, which has one owner.
fn network(address: IpAddr) -> [u8; 16] {
    const KEPT: u128 = !(u128::MAX >> 56);
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & KEPT).octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(text: &str) -> Caller {
        Caller::Stranger(text.parse().unwrap())
    }

    /// A distinct IPv4 address for each `n`.
    fn address(n: u32) -> Caller {
        Caller::Stranger(IpAddr::from((0x0a00_0000 + n).to_be_bytes()))
    }

    fn attempts(throttle: &Throttle, attempt: Attempt, caller: Caller, account: &str) -> usize {
        (0..1_000).take_while(|_| throttle.check(attempt, caller, account).is_ok()).count()
    }

    #[test]
    fn a_stranger_is_limited_without_limiting_others() {
        let throttle = Throttle::new();
        let attacker = stranger("203.0.113.1");
        assert_eq!(attempts(&throttle, Attempt::Password, attacker, "a@b"), 10);
        let wait = throttle.check(Attempt::Password, attacker, "a@b");
        assert!(wait.is_err_and(|seconds| (1..=60).contains(&seconds)), "{wait:?}");
        for other in ["203.0.113.2", "2001:db8::1"] {
            let other = stranger(other);
            assert_eq!(throttle.check(Attempt::Password, other, "a@b"), Ok(()));
        }
        assert_eq!(throttle.check(Attempt::Password, attacker, "c@d"), Ok(()));
    }

    #[test]
    fn a_refused_stranger_does_not_use_up_the_limit_of_the_account() {
        let throttle = Throttle::new();
        let attacker = stranger("203.0.113.1");
        for _ in 0..1_000 {
            let _ = throttle.check(Attempt::Password, attacker, "a@b");
        }
        for n in 0..80 {
            let checked = throttle.check(Attempt::Password, address(n), "a@b");
            assert_eq!(checked, Ok(()), "{n}");
        }
    }

    #[test]
    fn a_guess_from_many_networks_is_limited_and_spares_proven_callers() {
        let throttle = Throttle::new();
        let allowed = (0..500)
            .filter(|n| {
                let checked = throttle.check(Attempt::Password, address(*n), "a@b");
                checked.is_ok()
            })
            .count();
        assert!((100..=102).contains(&allowed), "{allowed}");
        let browser = Caller::browser(BrowserId([7; 16]));
        let session = Caller::session(SessionId(uuid::Uuid::now_v7()));
        for proven in [browser, session, Caller::link("token")] {
            assert_eq!(attempts(&throttle, Attempt::Password, proven, "a@b"), 10);
        }
    }

    #[test]
    fn every_kind_of_attempt_is_limited_by_account_and_network() {
        for (attempt, burst) in [
            (Attempt::Password, 10),
            (Attempt::Code, 10),
            (Attempt::SignUp, 10),
            (Attempt::SendEmail, 3),
        ] {
            let throttle = Throttle::new();
            let attacker = stranger("203.0.113.1");
            assert_eq!(attempts(&throttle, attempt, attacker, "a@b"), burst);
            let owner = stranger("198.51.100.1");
            assert_eq!(throttle.check(attempt, owner, "a@b"), Ok(()), "{attempt:?}");
        }
    }

    #[test]
    fn a_network_is_limited_over_all_accounts() {
        let throttle = Throttle::new();
        for n in 0..60 {
            // Each address has another /64 of one /56.
            let from = stranger(&format!("2001:db8:0:{n:x}::1"));
            let account = format!("{n}@b");
            assert_eq!(throttle.check(Attempt::Password, from, &account), Ok(()));
        }
        let same = stranger("2001:db8:0:ff::1");
        assert!(throttle.check(Attempt::Password, same, "x@b").is_err());
        let other = stranger("2001:db8:0:100::1");
        assert_eq!(throttle.check(Attempt::Password, other, "y@b"), Ok(()));
    }

    #[test]
    fn a_stranger_is_limited_over_the_networks_of_one_customer() {
        let throttle = Throttle::new();
        let allowed = (0..256)
            .filter(|n| {
                let from = stranger(&format!("2001:db8:0:12{n:02x}::1"));
                throttle.check(Attempt::Password, from, "a@b").is_ok()
            })
            .count();
        assert_eq!(allowed, 10);
        let other = stranger("2001:db8:0:1300::1");
        assert_eq!(throttle.check(Attempt::Password, other, "a@b"), Ok(()));
    }

    #[test]
    fn codes_without_a_proven_password_are_limited_by_network() {
        let throttle = Throttle::new();
        let check = |text: &str| throttle.check_unproven_code(text.parse().unwrap());
        for n in 0..60 {
            assert_eq!(check(&format!("2001:db8:0:{n:x}::1")), Ok(()));
        }
        let wait = check("2001:db8:0:ff::1");
        assert!(wait.is_err_and(|seconds| (1..=2).contains(&seconds)), "{wait:?}");
        assert_eq!(check("2001:db8:0:100::1"), Ok(()));
    }

    #[test]
    fn codes_without_a_proven_password_do_not_push_out_real_counts() {
        let throttle = Throttle::new();
        let thief = stranger("203.0.113.1");
        assert_eq!(attempts(&throttle, Attempt::Code, thief, "id"), 10);
        for n in 0..20_000_u32 {
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            assert_eq!(throttle.check_unproven_code(address), Ok(()), "{n}");
        }
        assert_eq!(throttle.unproven_code.0.len(), 8_192);
        assert!(throttle.check(Attempt::Code, thief, "id").is_err());
        let limits = throttle.limits(Attempt::Code);
        for limiter in [&limits.pair, &limits.network, &limits.account] {
            assert_eq!(limiter.0.len(), 1);
        }
    }

    #[test]
    fn emails_of_one_network_to_an_account_refill_slower_than_those_of_all() {
        let throttle = Throttle::new();
        let attacker = stranger("203.0.113.1");
        assert_eq!(attempts(&throttle, Attempt::SendEmail, attacker, "a@b"), 3);
        let pair = throttle.check(Attempt::SendEmail, attacker, "a@b");
        assert!(pair.is_err_and(|seconds| (1_700..=1_800).contains(&seconds)), "{pair:?}");
        let allowed = (0..50)
            .filter(|n| throttle.check(Attempt::SendEmail, address(*n), "a@b").is_ok())
            .count();
        assert_eq!(allowed, 7);
        let account = throttle.check(Attempt::SendEmail, address(50), "a@b");
        assert!(account.is_err_and(|seconds| (1..=600).contains(&seconds)), "{account:?}");
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let throttle = Throttle::new();
        for n in 0..40_000 {
            let account = format!("{n}@b");
            let _ = throttle.check(Attempt::SendEmail, address(n), &account);
        }
        let limits = throttle.limits(Attempt::SendEmail);
        for limiter in [&limits.pair, &limits.network, &limits.account] {
            assert_eq!(limiter.0.len(), 8_192);
        }
    }
}
