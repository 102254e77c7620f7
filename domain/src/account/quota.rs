//! Quotas: how often an account, a client network or the whole installation may do what costs nothing.
//!
//! [`QuotaKind`] is the one table of all quotas. A quota counts one UTC day. [`Usage::take`] is the rule by which the
//! store and the in-memory counters count; both pass the time in.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::timestamp::rfc3339;

/// The length of a counted day in milliseconds.
pub const DAY_MS: i64 = 86_400_000;
/// The highest limit that can be configured.
pub const MAX_LIMIT: u32 = 1_000_000_000;

/// What a quota counts per day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuotaKind {
    /// OTPs sent with test keys.
    TestOtps,
    /// Test events sent to webhook endpoints.
    TestEvents,
    /// Webhook attempts that the account sends again.
    WebhookReplays,
    /// CSV exports.
    Exports,
    /// API keys created or rotated, and integrations created.
    ApiKeys,
    /// Webhook endpoints added.
    WebhookEndpoints,
    /// Top-ups requested.
    TopUps,
    /// Changes of the low-balance notice, each of which may cause a notice.
    LowBalanceChanges,
    /// Changes of the account's e-mail address.
    EmailChanges,
    /// E-mailed links to reset an account's password, requested from one client network.
    PasswordResets,
    /// Refusals stored under an idempotency key.
    StoredRefusals,
    /// E-mails to one mailbox.
    Emails,
    /// Sign-ups from one client network.
    NetworkSignUps,
    /// Sign-ups of all clients together.
    SignUps,
    /// Grants of free credit to new accounts.
    FreeCredits,
}

/// Whose actions a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaScope {
    Account,
    /// An account and a client's network, so that strangers do not use up what the owner needs.
    AccountAndNetwork,
    /// The mailbox that receives an e-mail.
    Mailbox,
    /// A client's network, see [`client_network`].
    Network,
    Installation,
}

impl QuotaKind {
    /// All kinds, in the order of the documentation and the pages.
    pub const ALL: [QuotaKind; 15] = [
        QuotaKind::TestOtps,
        QuotaKind::TestEvents,
        QuotaKind::WebhookReplays,
        QuotaKind::Exports,
        QuotaKind::ApiKeys,
        QuotaKind::WebhookEndpoints,
        QuotaKind::TopUps,
        QuotaKind::LowBalanceChanges,
        QuotaKind::EmailChanges,
        QuotaKind::PasswordResets,
        QuotaKind::StoredRefusals,
        QuotaKind::Emails,
        QuotaKind::NetworkSignUps,
        QuotaKind::SignUps,
        QuotaKind::FreeCredits,
    ];

    /// The name, the configuration key below `[quotas]`, the scope and the default limit per day.
    #[rustfmt::skip]
    const fn rule(self) -> (&'static str, &'static str, QuotaScope, u32) {
        use QuotaScope::{Account, AccountAndNetwork, Installation, Mailbox, Network};
        match self {
            QuotaKind::TestOtps => ("test_otps", "test_otps_per_day", Account, 1_000),
            QuotaKind::TestEvents => ("test_events", "test_events_per_day", Account, 100),
            QuotaKind::WebhookReplays => ("webhook_replays", "webhook_replays_per_day", Account, 2_000),
            QuotaKind::Exports => ("exports", "exports_per_day", Account, 200),
            QuotaKind::ApiKeys => ("api_keys", "api_keys_per_day", Account, 50),
            QuotaKind::WebhookEndpoints => ("webhook_endpoints", "webhook_endpoints_per_day", Account, 50),
            QuotaKind::TopUps => ("top_ups", "top_ups_per_day", Account, 50),
            QuotaKind::LowBalanceChanges => ("low_balance_changes", "low_balance_changes_per_day", Account, 20),
            QuotaKind::EmailChanges => ("email_changes", "email_changes_per_day", Account, 5),
            QuotaKind::PasswordResets => ("password_resets", "password_resets_per_day", AccountAndNetwork, 10),
            QuotaKind::StoredRefusals => ("stored_refusals", "stored_refusals_per_day", Account, 10_000),
            QuotaKind::Emails => ("emails", "emails_per_day", Mailbox, 50),
            QuotaKind::NetworkSignUps => ("network_sign_ups", "network_sign_ups_per_day", Network, 50),
            QuotaKind::SignUps => ("sign_ups", "sign_ups_per_day", Installation, 1_000),
            QuotaKind::FreeCredits => ("free_credits", "free_credits_per_day", Installation, 200),
        }
    }

    /// The name in answers, in the database and in metrics.
    pub const fn name(self) -> &'static str {
        self.rule().0
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<QuotaKind> {
        QuotaKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The key of its limit in the section `[quotas]`.
    pub const fn config_key(self) -> &'static str {
        self.rule().1
    }

    pub const fn scope(self) -> QuotaScope {
        self.rule().2
    }

    /// The limit per day unless another one is configured.
    pub const fn default_limit(self) -> u32 {
        self.rule().3
    }

    /// The kinds that count an account's own actions.
    pub fn of_accounts() -> impl Iterator<Item = QuotaKind> {
        let kinds = QuotaKind::ALL.into_iter();
        kinds.filter(|kind| kind.scope() == QuotaScope::Account)
    }
}

impl fmt::Display for QuotaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The limits per day of all kinds. A limit of 0 means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimits([u32; QuotaKind::ALL.len()]);

impl Default for QuotaLimits {
    fn default() -> QuotaLimits {
        QuotaLimits(QuotaKind::ALL.map(QuotaKind::default_limit))
    }
}

impl QuotaLimits {
    /// The limit of a kind; `None` if it is unlimited.
    pub fn of(&self, kind: QuotaKind) -> Option<u32> {
        limit(self.0[kind as usize])
    }

    /// Sets the limit of a kind; 0 means unlimited.
    pub fn set(&mut self, kind: QuotaKind, per_day: u32) {
        self.0[kind as usize] = per_day;
    }

    /// The configured number of a kind; 0 means unlimited.
    pub fn configured(&self, kind: QuotaKind) -> u32 {
        self.0[kind as usize]
    }
}

/// The meaning of a configured limit: 0 is unlimited.
pub fn limit(configured: u32) -> Option<u32> {
    (configured > 0).then_some(configured)
}

/// The UTC day of a time: days since 1970-01-01.
pub fn day_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS)
}

/// The end of the UTC day of a time, when its quotas start again.
pub fn resets_at_ms(at_ms: i64) -> i64 {
    (day_of(at_ms) + 1) * DAY_MS
}

/// How much of a quota is used on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub day: i64,
    pub used: i64,
}

impl Usage {
    /// Counts `count` more at `at_ms`, all or nothing, and returns the usage after it. A new day starts at 0.
    /// `limit` of `None` is unlimited.
    ///
    /// # Errors
    /// [`QuotaExceeded`] if the limit would be exceeded; nothing is counted then.
    pub fn take(
        self,
        kind: QuotaKind,
        count: u32,
        limit: Option<u32>,
        at_ms: i64,
    ) -> Result<Usage, QuotaExceeded> {
        let today = self.on(at_ms);
        let used = today.used.saturating_add(count.into());
        match limit {
            Some(limit) if used > i64::from(limit) => {
                Err(QuotaExceeded::of_day(kind, limit, at_ms))
            }
            _ => Ok(Usage { used, ..today }),
        }
    }

    /// Subtracts what was counted but not done. The usage never falls below 0.
    #[must_use]
    pub fn give_back(self, count: u32, at_ms: i64) -> Usage {
        let today = self.on(at_ms);
        Usage { used: (today.used - i64::from(count)).max(0), ..today }
    }

    /// The usage on the day of `at_ms`.
    pub fn on(self, at_ms: i64) -> Usage {
        let day = day_of(at_ms);
        match self.day == day {
            true => self,
            false => Usage { day, used: 0 },
        }
    }
}

/// A quota, or a rate beside it, that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// The name of the quota, or of the rate such as `test_events_per_minute`.
    pub quota: &'static str,
    pub limit: u32,
    /// When the next action is possible, in Unix milliseconds.
    pub resets_at_ms: i64,
    /// Seconds until then, at least 1.
    pub retry_after_seconds: u32,
}

impl QuotaExceeded {
    /// A daily quota that is used up at `at_ms`.
    pub fn of_day(kind: QuotaKind, limit: u32, at_ms: i64) -> QuotaExceeded {
        let resets_at_ms = resets_at_ms(at_ms);
        QuotaExceeded {
            quota: kind.name(),
            limit,
            resets_at_ms,
            retry_after_seconds: seconds_between(at_ms, resets_at_ms),
        }
    }

    /// A rate that allows the next action after `wait_ms`.
    pub fn of_rate(quota: &'static str, limit: u32, at_ms: i64, wait_ms: i64) -> QuotaExceeded {
        let resets_at_ms = at_ms.saturating_add(wait_ms);
        QuotaExceeded {
            quota,
            limit,
            resets_at_ms,
            retry_after_seconds: seconds_between(at_ms, resets_at_ms),
        }
    }
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = rfc3339(self.resets_at_ms);
        write!(f, "the quota {} of {} is used up until {at}", self.quota, self.limit)
    }
}

impl std::error::Error for QuotaExceeded {}

/// Whole seconds from `at_ms` to `end_ms`, rounded up, at least 1.
fn seconds_between(at_ms: i64, end_ms: i64) -> u32 {
    let ms = (end_ms - at_ms).max(1).unsigned_abs();
    u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX)
}

/// The network of a client address that counts as one client: an IPv4 address, or the /56 network of an IPv6 address,
/// which providers assign to one customer.
pub fn client_network(address: IpAddr) -> String {
    const KEPT: u128 = !(u128::MAX >> 56);
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{}/56", Ipv6Addr::from_bits(address.to_bits() & KEPT)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    const NOON: i64 = 1_779_710_400_000;

    #[test]
    fn every_kind_has_a_name_and_a_key_of_its_own() {
        let names: HashSet<_> = QuotaKind::ALL.iter().map(|kind| kind.name()).collect();
        let keys: HashSet<_> = QuotaKind::ALL.iter().map(|kind| kind.config_key()).collect();
        assert_eq!((names.len(), keys.len()), (QuotaKind::ALL.len(), QuotaKind::ALL.len()));
        for (index, kind) in QuotaKind::ALL.into_iter().enumerate() {
            assert_eq!(QuotaKind::named(kind.name()), Some(kind));
            // Limits are stored by this index.
            assert_eq!(kind as usize, index);
        }
        assert_eq!(QuotaKind::named("otps"), None);
    }

    #[test]
    fn a_limit_of_zero_is_unlimited() {
        let mut limits = QuotaLimits::default();
        assert_eq!(limits.of(QuotaKind::TestEvents), Some(100));
        limits.set(QuotaKind::TestEvents, 0);
        assert_eq!(limits.of(QuotaKind::TestEvents), None);
        assert_eq!(limits.of(QuotaKind::TestOtps), Some(1_000));
    }

    #[test]
    fn a_used_up_quota_says_when_it_resets() {
        let used = Usage::default().take(QuotaKind::TestOtps, 3, Some(3), NOON).unwrap();
        assert_eq!(used.used, 3);
        let exceeded = used.take(QuotaKind::TestOtps, 1, Some(3), NOON).unwrap_err();
        assert_eq!((exceeded.quota, exceeded.limit), ("test_otps", 3));
        assert_eq!(rfc3339(exceeded.resets_at_ms), "2026-05-26T00:00:00Z");
        assert_eq!(exceeded.retry_after_seconds, 12 * 3600);
        let tomorrow = used.take(QuotaKind::TestOtps, 1, Some(3), exceeded.resets_at_ms);
        assert_eq!(tomorrow.unwrap().used, 1);
    }

    #[test]
    fn a_rate_says_when_the_next_action_is_possible() {
        let exceeded = QuotaExceeded::of_rate("test_events_per_minute", 6, NOON, 9_001);
        assert_eq!(exceeded.retry_after_seconds, 10);
        assert_eq!(exceeded.resets_at_ms, NOON + 9_001);
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        for (address, network) in [
            ("203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:db8:0:12ff::1", "2001:db8:0:1200::/56"),
            ("2001:db8:0:1234:5::", "2001:db8:0:1200::/56"),
            ("2001:db8:0:1300::1", "2001:db8:0:1300::/56"),
        ] {
            assert_eq!(client_network(address.parse().unwrap()), network);
        }
    }

    proptest! {
        #[test]
        fn no_sequence_of_actions_exceeds_the_limit_of_a_day(
            limit in 1u32..50,
            steps in prop::collection::vec((1u32..9, 0i64..DAY_MS, any::<bool>()), 1..100),
        ) {
            let mut usage = Usage::default();
            let (mut at_ms, mut done, mut day) = (NOON, 0i64, day_of(NOON));
            for (count, later, is_undone) in steps {
                at_ms += later / 20;
                if day_of(at_ms) != day {
                    (day, done) = (day_of(at_ms), 0);
                }
                if let Ok(after) = usage.take(QuotaKind::Exports, count, Some(limit), at_ms) {
                    usage = after;
                    done += i64::from(count);
                    if is_undone {
                        usage = usage.give_back(count, at_ms);
                        done -= i64::from(count);
                    }
                }
                prop_assert!(done <= i64::from(limit));
                prop_assert_eq!(usage.on(at_ms).used, done);
            }
        }
    }
}
