//! One transaction of a wallet actor: its postings, and the replies to their senders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram};
use nexo_domain::money::Micros;
use nexo_entities::store::ledger::posting::{
    Committed, Debit, DebitOutcome, IdempotencyWrite, NodeEpoch, Settlement, WalletCache,
};
use nexo_entities::store::{Store, StoreError};

use crate::node::lease::Lease;
use crate::wallet::messages::{DebitError, PostDebit, SettleDelivery, StoreResponse, StoreStopped};

/// How long the store may take to write a batch. After this time nothing of the batch is written.
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(2);
/// The most attempts to commit a batch when another writer interferes.
const MAX_ATTEMPTS: u32 = 8;
/// The delay before the second attempt. Doubles with each further one.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(5);

/// The metrics of commits, registered once.
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
    not_resendable: Counter,
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
            not_resendable: refused("verification_closed"),
            refunds: metrics::counter!("nexo_ledger_refunds_total"),
            refunded: metrics::counter!("nexo_ledger_refunded_microdollars_total"),
            retries: metrics::counter!("nexo_ledger_commit_retries_total"),
        }
    }
}

/// The result of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchResult {
    /// Committed, and webhooks are waiting in the outbox.
    Webhooks,
    /// Committed without webhooks, or not committed because another writer was faster.
    NoWebhooks,
    /// The store failed.
    Failed,
}

/// The content of one transaction, with the replies to its senders.
pub(super) struct Batch {
    /// The epoch that all postings belong to.
    pub node: Arc<NodeEpoch>,
    pub debits: Vec<(Instant, PostDebit)>,
    pub settlements: Vec<SettleDelivery>,
    pub answers: Vec<StoreResponse>,
}

impl Batch {
    pub fn postings(&self) -> usize {
        self.debits.len() + self.settlements.len() + self.answers.len()
    }

    /// Commits and sends all replies. Returns the cache.
    pub async fn commit(
        self,
        store: Store,
        lease: Arc<Lease>,
        mut cache: WalletCache,
        meters: Meters,
    ) -> (WalletCache, BatchResult) {
        let postings = self.postings();
        let (debits, replies): (Vec<Debit>, Vec<_>) =
            self.debits.into_iter().map(|(_, post)| (post.debit, post.reply)).unzip();
        let (settlements, settled): (Vec<Settlement>, Vec<_>) =
            self.settlements.into_iter().map(|settle| (settle.settlement, settle.reply)).unzip();
        let (keep, kept): (Vec<IdempotencyWrite>, Vec<_>) =
            self.answers.into_iter().map(|answer| (answer.keep, answer.reply)).unzip();
        let started = Instant::now();
        let result = commit_with_retries(
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
                for (reply, written) in kept.into_iter().zip(committed.answers) {
                    let _ = reply.send(written);
                }
                let batch_result = match committed.webhooks {
                    0 => BatchResult::NoWebhooks,
                    _ => BatchResult::Webhooks,
                };
                (cache, batch_result)
            }
            Err(error) => {
                let has_stopped = store.stop_reason().is_some();
                // The reason was logged when the store stopped.
                if !has_stopped {
                    tracing::error!(%error, debits = debits.len(), settlements = settlements.len(), "a commit failed");
                }
                let debit_error = match &error {
                    StoreError::InDoubt { .. } => DebitError::InDoubt,
                    StoreError::Fenced => {
                        lease.lost(&self.node);
                        DebitError::Overloaded
                    }
                    _ if error.is_retryable()
                        || error.is_unavailable()
                        || error.wrote_nothing() =>
                    {
                        DebitError::Overloaded
                    }
                    _ if has_stopped => DebitError::InDoubt,
                    _ => DebitError::Failed,
                };
                for reply in replies {
                    let _ = reply.send(Err(debit_error));
                }
                let batch_result = match error {
                    // Another writer was faster, and has finished by now.
                    StoreError::Contended => BatchResult::NoWebhooks,
                    _ => BatchResult::Failed,
                };
                // Otherwise the other replies are dropped, and the sagas send their settlements again.
                if has_stopped {
                    for reply in settled {
                        let _ = reply.send(Err(StoreStopped));
                    }
                }
                (WalletCache::default(), batch_result)
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
            DebitOutcome::WindowHeld { .. } => meters.window_closed.increment(1),
            DebitOutcome::AccountClosed => meters.account_closed.increment(1),
            DebitOutcome::KeyTaken => meters.key_taken.increment(1),
            DebitOutcome::NotResendable => meters.not_resendable.increment(1),
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

/// The parts of a debit are never negative.
fn micros(amount: Micros) -> u64 {
    u64::try_from(amount.get()).unwrap_or(0)
}

async fn commit_with_retries(
    store: &Store,
    cache: &mut WalletCache,
    node: &NodeEpoch,
    work: (&[Debit], &[Settlement], &[IdempotencyWrite]),
    retries: &Counter,
) -> Result<Committed, StoreError> {
    let give_up = Instant::now() + COMMIT_TIMEOUT;
    let mut wait = MIN_RETRY_DELAY;
    let mut attempts = 1;
    loop {
        let left = give_up.saturating_duration_since(Instant::now());
        match store.ledger().commit_within(left, cache, node, work).await {
            // A commit in doubt must not be repeated: it may have been posted.
            Err(error)
                if (error.is_retryable() || error.is_unavailable())
                    && !matches!(error, StoreError::InDoubt { .. })
                    && attempts < MAX_ATTEMPTS
                    && Instant::now() + wait < give_up =>
            {
                retries.increment(1);
                attempts += 1;
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            outcome => return outcome,
        }
    }
}
