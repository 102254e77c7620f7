//! Quotas of free actions: the configured limits, accounts' own limits, rates, and the counts of this day.
//!
//! The table of quotas is [`nexo_domain::account::quota`]. The API and the site take from a quota before they act.
//! Rare actions are counted in the database, exactly on all nodes. Test OTPs, exports and stored refusals are counted
//! in memory ([`counters`]), so that no request waits for a write. A live OTP takes from no quota.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::Counter;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::quota::{
    QuotaExceeded, QuotaKind, QuotaLimits, client_network, day_of, limit,
};
use nexo_domain::billing::referral::person;
use nexo_domain::ids::{AccountId, EndpointId};
use nexo_domain::money::Micros;
use nexo_entities::store::accounts::quotas::{FreeCredit, QuotaTake};
use nexo_entities::store::accounts::sign_up::SignUpOffer;
use nexo_entities::store::{Conflict, Store, StoreError};
use sha2::{Digest, Sha256};

use crate::config::accounts::quotas::QuotasConfig;

mod counters;
mod rates;

use counters::Counters;
use rates::Rates;

/// How often counts in memory are added to the database. A crash loses at most this much of them, and another node
/// learns of them with this delay.
const FLUSH_INTERVAL: Duration = Duration::from_secs(2);
/// How long the counts of past days are kept, in days.
const KEPT_DAYS: i64 = 2;

/// The quotas of this node.
pub struct Quotas {
    store: Store,
    limits: ArcSwap<QuotaLimits>,
    /// Accounts' own limits; 0 means unlimited.
    own_limits: ArcSwap<HashMap<(AccountId, QuotaKind), u32>>,
    rates: ArcSwap<Rates>,
    counters: Counters,
}

/// What an account used of a quota, and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaStatus {
    pub kind: QuotaKind,
    pub used: i64,
    /// `None`: unlimited.
    pub limit: Option<u32>,
    /// The account's own limit, if an operator set one; 0 means unlimited.
    pub own: Option<u32>,
}

impl Quotas {
    /// Reads the counts of this day and accounts' own limits.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn load(store: &Store, config: &QuotasConfig) -> Result<Arc<Quotas>, StoreError> {
        let counters = Counters::default();
        let now = unix_ms();
        for kind in counters::IN_MEMORY {
            for (account, used) in store.accounts().quota_uses_of_all(kind, now).await? {
                counters.set(kind, account, day_of(now), used);
            }
        }
        let quotas = Quotas {
            store: store.clone(),
            limits: ArcSwap::from_pointee(config.limits),
            own_limits: ArcSwap::default(),
            rates: ArcSwap::from_pointee(Rates::of(config)),
            counters,
        };
        quotas.reload_own_limits().await?;
        register_meters();
        Ok(Arc::new(quotas))
    }

    /// Sets other limits and rates for later actions. What was counted stays.
    pub fn replace(&self, config: &QuotasConfig) {
        self.limits.store(Arc::new(config.limits));
        if !self.rates.load().are_of(config) {
            self.rates.store(Arc::new(Rates::of(config)));
        }
    }

    /// Reads accounts' own limits again.
    ///
    /// # Errors
    /// Those of the database; the limits in force stay.
    pub async fn reload_own_limits(&self) -> Result<(), StoreError> {
        let own = self.store.accounts().account_quotas(None).await?;
        let own = own.into_iter().map(|quota| ((quota.account, quota.kind), quota.per_day));
        self.own_limits.store(Arc::new(own.collect()));
        Ok(())
    }

    fn own_limit(&self, kind: QuotaKind, account: AccountId) -> Option<u32> {
        self.own_limits.load().get(&(account, kind)).copied()
    }

    /// The limit of a quota for an account; `None` is unlimited.
    pub fn limit(&self, kind: QuotaKind, account: AccountId) -> Option<u32> {
        match self.own_limit(kind, account) {
            Some(own) => limit(own),
            None => self.limits.load().of(kind),
        }
    }

    /// Counts one action of an account, in the database.
    ///
    /// # Errors
    /// [`Conflict::QuotaExceeded`], or the database's.
    pub async fn take(&self, kind: QuotaKind, account: AccountId) -> Result<(), StoreError> {
        self.take_from(kind, &account.to_string(), self.limit(kind, account)).await
    }

    /// Counts as many of `count` actions of an account as its limit allows, in the database, and returns their
    /// number. What is not done must be given back by [`Quotas::give_back`].
    ///
    /// # Errors
    /// [`Conflict::QuotaExceeded`] if not one is left, or the database's.
    pub async fn take_up_to(
        &self,
        kind: QuotaKind,
        account: AccountId,
        count: u32,
    ) -> Result<u32, StoreError> {
        let (subject, limit, at_ms) = (account.to_string(), self.limit(kind, account), unix_ms());
        let take = QuotaTake { kind, subject: &subject, count, limit, at_ms };
        match (self.store.accounts().take_quota_up_to(take).await?, limit) {
            (0, Some(limit)) if count > 0 => {
                let exceeded = QuotaExceeded::of_day(kind, limit, at_ms);
                Err(Conflict::QuotaExceeded(refused(exceeded)).into())
            }
            (taken, _) => Ok(taken),
        }
    }

    /// Subtracts actions that [`Quotas::take_up_to`] counted and that were not done.
    ///
    /// # Errors
    /// Those of the database; they stay counted then.
    pub async fn give_back(
        &self,
        kind: QuotaKind,
        account: AccountId,
        count: u32,
    ) -> Result<(), StoreError> {
        if count == 0 {
            return Ok(());
        }
        let taken =
            QuotaTake { kind, subject: &account.to_string(), count, limit: None, at_ms: unix_ms() };
        self.store.accounts().give_back_quota(taken).await
    }

    /// Counts a sign-up from a client's address.
    ///
    /// # Errors
    /// [`Conflict::QuotaExceeded`], or the database's.
    pub async fn take_sign_up(&self, address: IpAddr) -> Result<(), StoreError> {
        let kind = QuotaKind::NetworkSignUps;
        let limit = self.limits.load().of(kind);
        self.take_from(kind, &client_network(address), limit).await
    }

    /// Counts an e-mailed link to reset an account's password, requested from a client's address.
    ///
    /// # Errors
    /// [`Conflict::QuotaExceeded`], or the database's.
    pub async fn take_password_reset(
        &self,
        account: AccountId,
        address: IpAddr,
    ) -> Result<(), StoreError> {
        let kind = QuotaKind::PasswordResets;
        let subject = format!("{account} {}", client_network(address));
        self.take_from(kind, &subject, self.limits.load().of(kind)).await
    }

    /// Counts an e-mail to a mailbox. Only a hash of the mailbox is stored.
    ///
    /// # Errors
    /// [`Conflict::QuotaExceeded`], or the database's.
    pub async fn take_email(&self, to: &str) -> Result<(), StoreError> {
        let kind = QuotaKind::Emails;
        let mailbox = hex::encode(Sha256::digest(person(to).as_bytes()));
        self.take_from(kind, &mailbox, self.limits.load().of(kind)).await
    }

    async fn take_from(
        &self,
        kind: QuotaKind,
        subject: &str,
        limit: Option<u32>,
    ) -> Result<(), StoreError> {
        let take = QuotaTake { kind, subject, count: 1, limit, at_ms: unix_ms() };
        let taken = self.store.accounts().take_quota(take).await;
        if let Err(StoreError::Conflict(Conflict::QuotaExceeded(exceeded))) = &taken {
            refused(*exceeded);
        }
        taken
    }

    /// Counts one action of an account in memory.
    ///
    /// # Errors
    /// If the quota is used up.
    pub fn take_in_memory(&self, kind: QuotaKind, account: AccountId) -> Result<(), QuotaExceeded> {
        let limit = self.limit(kind, account);
        let taken = self.counters.take(kind, account, limit, unix_ms());
        taken.map_err(refused)
    }

    /// Subtracts an action that [`Quotas::take_in_memory`] counted and that was not done.
    pub fn give_back_in_memory(&self, kind: QuotaKind, account: AccountId) {
        self.counters.give_back(kind, account, unix_ms());
    }

    /// Counts an OTP of a test key: its rate, and the quota of the day in memory.
    ///
    /// # Errors
    /// If the rate or the quota is used up.
    pub fn take_test_otp(&self, account: AccountId) -> Result<(), QuotaExceeded> {
        let rates = self.rates.load();
        rates.test_otps.take(account.0).map_err(refused)?;
        self.take_in_memory(QuotaKind::TestOtps, account)
    }

    /// Counts a test event to an endpoint: its rate, and the account's quota of the day.
    ///
    /// # Errors
    /// [`Conflict::QuotaExceeded`], or the database's.
    pub async fn take_test_event(
        &self,
        account: AccountId,
        endpoint: EndpointId,
    ) -> Result<(), StoreError> {
        let rates = self.rates.load_full();
        let taken = rates.test_events.take(endpoint.0).map_err(refused);
        taken.map_err(Conflict::QuotaExceeded)?;
        self.take(QuotaKind::TestEvents, account).await
    }

    /// What a new account receives, with the limits of sign-ups and grants.
    pub fn sign_up_offer(&self, free: Micros) -> SignUpOffer {
        let limits = self.limits.load();
        SignUpOffer {
            free,
            grants_per_day: limits.of(QuotaKind::FreeCredits),
            sign_ups_per_day: limits.of(QuotaKind::SignUps),
        }
    }

    /// What an account used today of each of its quotas.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn status(&self, account: AccountId) -> Result<Vec<QuotaStatus>, StoreError> {
        let now = unix_ms();
        let stored = self.store.accounts().quota_uses(account, now).await?;
        let used = |kind| {
            let mut stored = stored.iter().filter(|(of, _)| *of == kind);
            let stored = stored.next().map_or(0, |(_, used)| *used);
            (stored + self.counters.unwritten(kind, account, now)).max(0)
        };
        let status = |kind| QuotaStatus {
            kind,
            used: used(kind),
            limit: self.limit(kind, account),
            own: self.own_limit(kind, account),
        };
        Ok(QuotaKind::of_accounts().map(status).collect())
    }

    /// Adds the counts in memory to the database. Counts stay in memory until their write has succeeded.
    pub async fn write_counts(&self) {
        if self.store.stop_reason().is_some() {
            return;
        }
        if let Err(error) = self.counters.write(&self.store, unix_ms()).await {
            tracing::warn!(%error, "the counts of quotas could not be written; trying again");
        }
    }

    fn remove_idle(&self) {
        self.rates.load().remove_idle();
        self.counters.remove_past(unix_ms());
    }
}

fn refusals(quota: &'static str) -> Counter {
    metrics::counter!("nexo_quota_refusals_total", "quota" => quota)
}

fn free_credits(outcome: &'static str) -> Counter {
    metrics::counter!("nexo_free_credits_total", "outcome" => outcome)
}

/// Registers the counters, so that the first refusal is an increase.
fn register_meters() {
    let kinds = QuotaKind::ALL.map(QuotaKind::name);
    for quota in kinds.into_iter().chain(rates::NAMES) {
        refusals(quota).increment(0);
    }
    for credit in [FreeCredit::Granted, FreeCredit::MailboxHadOne, FreeCredit::DailyLimitReached] {
        free_credits(outcome(credit)).increment(0);
    }
}

/// Counts a refusal for the metrics.
fn refused(exceeded: QuotaExceeded) -> QuotaExceeded {
    refusals(exceeded.quota).increment(1);
    exceeded
}

fn outcome(credit: FreeCredit) -> &'static str {
    match credit {
        FreeCredit::Granted => "granted",
        FreeCredit::NotOffered => "not_offered",
        FreeCredit::MailboxHadOne => "mailbox_had_one",
        FreeCredit::DailyLimitReached => "daily_limit",
    }
}

/// Counts the free credit of a new account for the metrics.
pub fn count_free_credit(credit: FreeCredit) {
    free_credits(outcome(credit)).increment(1);
}

/// Writes the counts in memory periodically and deletes those of past days, until it is dropped.
pub async fn write_periodically(quotas: Arc<Quotas>) {
    let mut due = tokio::time::interval(FLUSH_INTERVAL);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut cleaned = None;
    loop {
        due.tick().await;
        quotas.write_counts().await;
        quotas.remove_idle();
        let day = day_of(unix_ms());
        if cleaned != Some(day) {
            let before = day - KEPT_DAYS;
            match quotas.store.accounts().delete_quota_uses(before).await {
                Ok(_) => cleaned = Some(day),
                Err(error) => tracing::warn!(%error, "old counts of quotas could not be deleted"),
            }
        }
    }
}
