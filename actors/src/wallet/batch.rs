//! One transaction of a wallet actor: what it writes, and who is told what of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram};
use nexo_domain::money::Micros;
use nexo_entities::store::ledger::posting::{
    Committed, Debit, DebitOutcome, Keep, NodeEpoch, Settlement, WalletCache,
};
use nexo_entities::store::{Store, StoreError};

use super::{KeepAnswer, PostDebit, Refused, SettleDelivery, StoreStopped};
use crate::node::lease::Lease;

/// How long the store may take to write a batch; past it nothing of it is written.
pub const WRITE_WITHIN: Duration = Duration::from_secs(2);
/// How often a commit is tried again when another writer was in the way.
const TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// The figures of committing, registered once.
#[derive(Clone)]
pub(super) struct Meters {
    latency: Histogram,
    batch: Histogram,
    /// Postings that wait for their commit.
    pub waiting: Gauge,
    debits: Counter,
    debited: Counter,
    funds_short: Counter,
    window_closed: Counter,
    account_closed: Counter,
    key_taken: Counter,
    refunds: Counter,
    refunded: Counter,
    retries: Counter,
}

impl Meters {
    pub fn new(role: &str) -> Self {
        let refused = |reason: &'static str| metrics::counter!("nexo_ledger_debits_refused_total", "reason" => reason);
        Self {
            latency: metrics::histogram!("nexo_ledger_commit_seconds"),
            batch: metrics::histogram!("nexo_ledger_batch_postings"),
            waiting: metrics::gauge!("nexo_ledger_waiting_postings", "actor" => role.to_owned()),
            debits: metrics::counter!("nexo_ledger_debits_total"),
            debited: metrics::counter!("nexo_ledger_debited_microdollars_total"),
            funds_short: refused("insufficient_balance"),
            window_closed: refused("rate_limited"),
            account_closed: refused("account_closed"),
            key_taken: refused("key_taken"),
            refunds: metrics::counter!("nexo_ledger_refunds_total"),
            refunded: metrics::counter!("nexo_ledger_refunded_microdollars_total"),
            retries: metrics::counter!("nexo_ledger_commit_retries_total"),
        }
    }
}

/// What a batch came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CameTo {
    Webhooks,
    NoWebhooks,
    /// The store failed.
    Nothing,
}

/// What one transaction writes, and who waits for it.
pub(super) struct Batch {
    /// The life that all of them belong to.
    pub node: Arc<NodeEpoch>,
    pub debits: Vec<(Instant, PostDebit)>,
    pub settlements: Vec<SettleDelivery>,
    pub answers: Vec<KeepAnswer>,
}

impl Batch {
    pub fn postings(&self) -> usize {
        self.debits.len() + self.settlements.len() + self.answers.len()
    }

    /// Commits and answers everybody. Gives the cache back.
    pub async fn commit(
        self,
        store: Store,
        lease: Arc<Lease>,
        mut cache: WalletCache,
        meters: Meters,
    ) -> (WalletCache, CameTo) {
        let postings = self.postings();
        let (debits, replies): (Vec<Debit>, Vec<_>) = self
            .debits
            .into_iter()
            .map(|(_, post)| (post.debit, post.reply))
            .unzip();
        let (settlements, settled): (Vec<Settlement>, Vec<_>) = self
            .settlements
            .into_iter()
            .map(|settle| (settle.settlement, settle.reply))
            .unzip();
        let (keep, kept): (Vec<Keep>, Vec<_>) = self
            .answers
            .into_iter()
            .map(|answer| (answer.keep, answer.reply))
            .unzip();
        let started = Instant::now();
        let result = commit_patiently(
            &store,
            &mut cache,
            &self.node,
            (&debits, &settlements, &keep),
            &meters.retries,
        )
        .await;
        meters.latency.record(started.elapsed());
        meters.batch.record(postings as f64);
        match result {
            Ok(committed) => {
                count(&meters, &committed, &settlements);
                for (reply, outcome) in replies.into_iter().zip(committed.debits) {
                    let _ = reply.send(Ok(outcome));
                }
                for reply in settled {
                    let _ = reply.send(Ok(()));
                }
                for (reply, written) in kept.into_iter().zip(committed.kept) {
                    let _ = reply.send(written);
                }
                let came_to = match committed.webhooks {
                    0 => CameTo::NoWebhooks,
                    _ => CameTo::Webhooks,
                };
                (cache, came_to)
            }
            Err(error) => {
                let has_stopped = store.stopped().is_some();
                // Why it stopped was said when it did.
                if !has_stopped {
                    tracing::error!(%error, debits = debits.len(), settlements = settlements.len(), "a commit failed");
                }
                let refused = match &error {
                    StoreError::InDoubt { .. } => Refused::InDoubt,
                    StoreError::Fenced => {
                        lease.lost(&self.node);
                        Refused::Overloaded
                    }
                    _ if error.retryable() || error.unavailable() || error.wrote_nothing() => {
                        Refused::Overloaded
                    }
                    _ if has_stopped => Refused::InDoubt,
                    _ => Refused::Failed,
                };
                for reply in replies {
                    let _ = reply.send(Err(refused));
                }
                let came_to = match error {
                    // Another writer was faster, and is done by now.
                    StoreError::Contended => CameTo::NoWebhooks,
                    _ => CameTo::Nothing,
                };
                // Otherwise the other replies are dropped: settlements are handed in again by their sagas.
                if has_stopped {
                    for reply in settled {
                        let _ = reply.send(Err(StoreStopped));
                    }
                }
                (WalletCache::default(), came_to)
            }
        }
    }
}

fn count(meters: &Meters, committed: &Committed, settlements: &[Settlement]) {
    let (mut posted, mut debited) = (0, 0);
    for outcome in &committed.debits {
        match outcome {
            DebitOutcome::Posted { parts, .. } => {
                posted += 1;
                debited += micros(parts.total());
            }
            DebitOutcome::FundsShort { .. } => meters.funds_short.increment(1),
            DebitOutcome::WindowClosed { .. } => meters.window_closed.increment(1),
            DebitOutcome::AccountClosed => meters.account_closed.increment(1),
            DebitOutcome::KeyTaken => meters.key_taken.increment(1),
        }
    }
    meters.debits.increment(posted);
    meters.debited.increment(debited);
    let settled = settlements.iter().zip(&committed.settled);
    for (settlement, _) in settled.filter(|(settlement, now)| settlement.refund && **now) {
        meters.refunds.increment(1);
        meters.refunded.increment(micros(settlement.parts.total()));
    }
}

/// No part of a debit is negative.
fn micros(amount: Micros) -> u64 {
    u64::try_from(amount.get()).unwrap_or(0)
}

async fn commit_patiently(
    store: &Store,
    cache: &mut WalletCache,
    node: &NodeEpoch,
    work: (&[Debit], &[Settlement], &[Keep]),
    retries: &Counter,
) -> Result<Committed, StoreError> {
    let give_up = Instant::now() + WRITE_WITHIN;
    let mut wait = FIRST_WAIT;
    let mut tries = 1;
    loop {
        let within = give_up.saturating_duration_since(Instant::now());
        match store.commit_within(within, cache, node, work).await {
            // What is in doubt must not be posted again.
            Err(error)
                if (error.retryable() || error.unavailable())
                    && !matches!(error, StoreError::InDoubt { .. })
                    && tries < TRIES
                    && Instant::now() + wait < give_up =>
            {
                retries.increment(1);
                tries += 1;
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            outcome => return outcome,
        }
    }
}
