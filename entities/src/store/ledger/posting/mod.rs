//! The hot path: many waiting debits and settlements in one transaction.
//!
//! | step | statement | reads |
//! |---|---|---|
//! | 1 | load wallets that are not cached, or short by the cache | if there are any |
//! | 2 | give `sent` deliveries of this epoch their terminal state | no |
//! | 3 | release, then claim phone windows; losers drop out | for losers only |
//! | 4 | write each changed wallet once, if its version is the known one | for changed ones only |
//! | 5 | insert deliveries, entries, call attempts and webhook attempts | no |
//! | 6 | add commissions of delivered OTPs of referred accounts | no |
//! | 7 | store answers under idempotency keys | for losers only |
//! | 8 | write verifications and count their sends | for losers only |
//!
//! The decisions in between are pure ([`decision`]). An optimistic write sends steps 2 to 8 at once. It succeeds
//! if no delivery was settled before, no window or key is lost and no wallet changed, as is the case while this
//! node's actors are the only writers. If the number of written rows differs, the transaction is rolled back and
//! repeated stepwise. That finds out whether our epoch has ended, in which case nothing is written. It also reads
//! wallets again whose version another process changed, and charges them with the same debits; if those no longer
//! fit, the batch is decided again from the start. The cache is updated only after COMMIT. On SQLite the windows of
//! step 3 are in memory ([`PhoneWindowCache`]).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use nexo_domain::ids::AccountId;
use nexo_domain::phone::window::WINDOW_MS;
use sea_orm::DatabaseTransaction;

mod batch;
mod cache;
mod decision;
mod keys;
mod records;
mod sql;
mod statements;
mod verifications;
mod write;

pub use cache::WalletCache;
pub use records::{
    CallAttempt, CallQuality, Committed, Debit, DebitOutcome, IdempotencyWrite, NodeEpoch,
    SendKind, Settlement, VerificationSend,
};

use crate::store::StoreError;
use crate::store::phone_windows::cache::{Claim, PhoneWindowCache};
use crate::store::views::Ledger;
use crate::store::webhooks::queue::{self, ActiveEndpoint};
use batch::{Abort, Batch, Commission, WriteMode, ended, refunded};
use cache::Wallet;
use decision::BatchDecision;
use write::{BatchResult, Known, claim};

/// How often a batch is decided again after conflicts with other writers.
const MAX_ROUNDS: usize = 8;
/// Time limit of a batch that no client waits for.
const DEFAULT_BATCH_TIMEOUT: Duration = Duration::from_secs(60);

/// A batch that only lacks its COMMIT.
struct WrittenBatch {
    transaction: DatabaseTransaction,
    wallets: HashMap<AccountId, Wallet>,
    endpoints: HashMap<AccountId, Vec<ActiveEndpoint>>,
    result: BatchResult,
}

impl<'s> Ledger<'s> {
    /// Commits debits and settlements in one transaction. A debit that cannot be posted fails
    /// alone.
    ///
    /// The delivery ids of debits must be new. After [`StoreError::InDoubt`] the batch may have
    /// been committed: then its deliveries are `sent` and wait to be settled. After any other error
    /// nothing was written.
    ///
    /// # Errors
    /// [`StoreError::Contended`] if other writers kept winning; [`StoreError::Fenced`] if there are
    /// debits and `node`'s epoch has ended.
    pub async fn commit(
        self,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        debits: &[Debit],
        settlements: &[Settlement],
    ) -> Result<Committed, StoreError> {
        let work = (debits, settlements, &[][..]);
        self.commit_within(DEFAULT_BATCH_TIMEOUT, cache, node, work).await
    }

    /// Like [`Ledger::commit`], with writes of idempotent answers, and abandoned if the COMMIT is
    /// not reached within the time `within`.
    ///
    /// # Errors
    /// As [`Ledger::commit`]; [`StoreError::Timeout`], and nothing was written.
    pub async fn commit_within(
        self,
        within: Duration,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        (debits, settlements, answers): (&[Debit], &[Settlement], &[IdempotencyWrite]),
    ) -> Result<Committed, StoreError> {
        let mut batch = Batch {
            node,
            debits,
            settlements,
            answers,
            deadline: Instant::now() + within,
            mode: cache.write_mode(),
        };
        for _ in 0..MAX_ROUNDS {
            match self.try_commit(cache, &batch).await {
                Ok(committed) => return Ok(committed),
                Err(Abort::OptimismFailed) => cache.expect_conflicts(),
                Err(Abort::Stale) => cache.invalidate_touched(debits, settlements),
                Err(Abort::Failed(error)) => {
                    cache.invalidate_touched(debits, settlements);
                    if !error.is_serialization_failure() {
                        return self.store.check_write(Err(error));
                    }
                }
            }
            batch.mode = WriteMode::Stepwise;
        }
        Err(StoreError::Contended)
    }

    async fn try_commit(
        self,
        cache: &mut WalletCache,
        batch: &Batch<'_>,
    ) -> Result<Committed, Abort> {
        let written = self.write_batch(cache, batch);
        let written = tokio::time::timeout_at(batch.deadline.into(), written).await;
        let WrittenBatch { transaction, wallets, endpoints, result } =
            written.map_err(|_| StoreError::Timeout)??;
        let is_posted = |outcome: &DebitOutcome| matches!(outcome, DebitOutcome::Posted { .. });
        let changes = [&result.settled, &result.answers];
        if result.debits.iter().any(is_posted) || changes.iter().any(|done| done.contains(&true)) {
            let pending = self.store.windows.as_deref().map(|windows| {
                let debits = batch.debits.iter().zip(&result.debits);
                let posted = debits.filter(|(_, outcome)| is_posted(outcome));
                let ended = ended(batch.settlements, &result.settled);
                let released = ended.iter().filter(|s| s.release_window);
                windows.record(
                    released.map(|s| ((s.test, s.phone), s.delivery_id)),
                    posted.map(|(debit, _)| claim(debit)),
                )
            });
            self.store.commit(transaction).await?;
            if let Some(pending) = pending {
                pending.committed();
            }
        } else {
            transaction.rollback().await?;
        }
        cache.insert_loaded(wallets, endpoints);
        for (account, wallet) in result.touched {
            cache.put(account, wallet.after_write());
        }
        for account in result.ended_referrals {
            cache.invalidate_wallet(account);
        }
        Ok(Committed {
            debits: result.debits,
            settled: result.settled,
            webhooks: result.webhooks,
            answers: result.answers,
        })
    }

    /// Writes everything but the COMMIT.
    async fn write_batch(
        self,
        cache: &WalletCache,
        batch: &Batch<'_>,
    ) -> Result<WrittenBatch, Abort> {
        let unverified = unverified_wallets(cache, batch);
        let transaction = self.store.begin().await?;
        let windows = self.load_windows(&transaction, batch.debits).await?;
        let wallets = statements::load_wallets(&transaction, &unverified).await?;
        let unknown: HashSet<AccountId> = batch
            .settlements
            .iter()
            .filter(|s| s.event.is_some() && cache.endpoints(s.account_id).is_none())
            .map(|s| s.account_id)
            .collect();
        let endpoints = queue::load_endpoints(&transaction, &unknown).await?;
        let known = Known { cache, wallets: &wallets, endpoints: &endpoints, windows };
        let result = write::write(&transaction, batch, &known).await?;
        Ok(WrittenBatch { transaction, wallets, endpoints, result })
    }

    /// Returns the in-memory windows, if they are used, and loads them from the deliveries on first
    /// use.
    async fn load_windows(
        self,
        transaction: &DatabaseTransaction,
        debits: &[Debit],
    ) -> Result<Option<&'s PhoneWindowCache>, StoreError> {
        let Some(windows) = self.store.windows.as_deref() else {
            return Ok(None);
        };
        let earliest = debits.iter().min_by_key(|debit| debit.created_at_ms);
        if let (false, Some(earliest)) = (windows.is_loaded(), earliest) {
            let view = self.store.phone_windows();
            // Deliveries have wall times. The cache has the times of the windows' clock.
            let (now_ms, from_ms) = (earliest.created_at_ms, earliest.window_from_ms);
            let open = view.held_windows_on(transaction, now_ms).await?;
            windows.load(open.iter().map(|open| Claim {
                window: (open.test, open.phone),
                delivery_id: open.delivery_id,
                from_ms,
                until_ms: from_ms + (open.until_ms - now_ms).min(WINDOW_MS),
            }));
        }
        Ok(Some(windows))
    }
}

/// Returns the wallets that are not cached and those that are short by the cache: they may have been
/// credited since.
fn unverified_wallets(cache: &WalletCache, batch: &Batch<'_>) -> HashSet<AccountId> {
    let mut decision = BatchDecision::new(batch.debits, std::iter::empty(), |account| {
        cache.wallet(account).map(|wallet| (wallet, false))
    });
    let earning = batch.settlements.iter().filter_map(Commission::of);
    let debited = batch.debits.iter().map(|debit| debit.account_id);
    let unknown = debited
        .chain(refunded(batch.settlements))
        .chain(earning.map(|one| one.account_id))
        .filter(|account| cache.wallet(*account).is_none());
    let short = decision.round().unverified;
    short.into_iter().chain(unknown).collect()
}
