//! The hot path: many waiting debits and settlements in one transaction.
//!
//! | step | statement | read |
//! |---|---|---|
//! | 1 | wallets not in the cache, or short by it, are loaded | only then |
//! | 2 | `sent` deliveries of this epoch take their terminal state | no |
//! | 3 | phone windows are given back, then claimed; the losers drop out | only for losers |
//! | 4 | each touched wallet is written once, if its version is the known one | only for those moved |
//! | 5 | deliveries, entries, call attempts, webhook attempts | no |
//!
//! What is decided in between is pure ([`Deciding`]). Steps 3 to 5 go at once, in the hope that no window
//! is lost and no wallet moved, as is so when this node's actors are the only writers. Where the count of
//! written rows says otherwise, all is undone and done step by step. There a wallet whose version moved,
//! since a command or another node wrote it, is read again and charged with the same debits; where those
//! do not fit any more, the batch is decided from the start. The cache learns of anything only after
//! COMMIT.

use std::collections::{HashMap, HashSet};

use nexo_domain::ids::{AccountId, EndpointId};
use nexo_domain::ledger::Parts;
use sea_orm::DatabaseTransaction;

mod cache;
mod deciding;
mod records;
mod sql;
mod statements;

pub use cache::WalletCache;
pub use records::{CallAttempt, Committed, Debit, DebitOutcome, NodeEpoch, Settlement};

use super::bulk::Script;
use super::{Store, StoreError};
use deciding::Deciding;

/// How often one batch is decided again because other writers were faster.
const MAX_ROUNDS: usize = 8;

/// One transaction's work.
struct Batch<'a> {
    node: &'a NodeEpoch,
    debits: &'a [Debit],
    settlements: &'a [Settlement],
    pace: Pace,
}

/// Why a transaction did not come to its end.
enum Undone {
    /// A window was lost or a wallet moved where neither was expected.
    TooBold,
    /// A wallet is not what the cache said.
    Moved,
    Failed(StoreError),
}

impl<E: Into<StoreError>> From<E> for Undone {
    fn from(error: E) -> Self {
        Undone::Failed(error.into())
    }
}

/// How a transaction goes about its writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    /// All at once, in the hope that no window is lost and no wallet moved. When one is, everything is
    /// undone and tried step by step.
    Bold,
    /// The windows, then the wallets, then the rest.
    StepByStep,
}

impl Store {
    /// Commits debits and settlements in one transaction. A debit that cannot be posted fails alone.
    ///
    /// Delivery ids of debits must be new. After an error the caller cannot know whether the batch was
    /// committed: what was is `sent` and will be settled by the reaper.
    ///
    /// # Errors
    /// [`StoreError::Contended`] when other writers kept winning; what else the database fails with.
    pub async fn commit(
        &self,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        debits: &[Debit],
        settlements: &[Settlement],
    ) -> Result<Committed, StoreError> {
        let mut batch = Batch {
            node,
            debits,
            settlements,
            pace: cache.pace(),
        };
        for _ in 0..MAX_ROUNDS {
            match self.try_commit(cache, &batch).await {
                Ok(committed) => return Ok(committed),
                Err(Undone::TooBold) => cache.expect_others(),
                Err(Undone::Moved) => cache.forget_touched(debits, settlements),
                Err(Undone::Failed(error)) => {
                    cache.forget_touched(debits, settlements);
                    if !error.lost_to_another() {
                        return Err(error);
                    }
                }
            }
            batch.pace = Pace::StepByStep;
        }
        Err(StoreError::Contended)
    }

    async fn try_commit(
        &self,
        cache: &mut WalletCache,
        batch: &Batch<'_>,
    ) -> Result<Committed, Undone> {
        let Batch {
            debits,
            settlements,
            ..
        } = *batch;
        let doubtful = doubtful_wallets(cache, debits, settlements);
        let transaction = self.begin().await?;
        let loaded = statements::load_wallets(&transaction, &doubtful).await?;
        let endpoints = load_endpoints(&transaction, cache, settlements).await?;

        let settled = settle(&transaction, batch.node, settlements).await?;
        let ended: Vec<&Settlement> = settlements
            .iter()
            .zip(&settled)
            .filter(|(_, settled)| **settled)
            .map(|(settlement, _)| settlement)
            .collect();
        statements::release_windows(&transaction, &ended).await?;
        let mut deciding = Deciding::new(debits, refunded(settlements), |account| {
            match loaded.get(&account) {
                Some(wallet) => Some((*wallet, true)),
                None => cache.wallet(account).map(|wallet| (wallet, false)),
            }
        });
        for settlement in ended.iter().filter(|s| s.refund) {
            deciding.refund(settlement.account_id, settlement.parts);
        }
        match batch.pace {
            Pace::Bold => write_boldly(&transaction, batch, &mut deciding, &ended).await?,
            Pace::StepByStep => write(&transaction, batch, &mut deciding, &ended).await?,
        }
        let webhooks = statements::queue_webhooks(&transaction, &ended, |account| {
            endpoints.get(&account).or(cache.endpoints(account))
        })
        .await?;

        let touched = deciding.touched();
        let outcomes = deciding.into_outcomes();
        let posted = |outcome: &DebitOutcome| matches!(outcome, DebitOutcome::Posted { .. });
        if outcomes.iter().any(posted) || !ended.is_empty() {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        cache.learn(loaded, endpoints);
        for (account, wallet) in touched {
            cache.put(account, wallet.written());
        }
        Ok(Committed {
            debits: outcomes,
            settled,
            webhooks,
        })
    }
}

/// The wallets that the cache does not know, and those that by the cache hold too little: a command
/// may just have credited them.
fn doubtful_wallets(
    cache: &WalletCache,
    debits: &[Debit],
    settlements: &[Settlement],
) -> HashSet<AccountId> {
    let mut deciding = Deciding::new(debits, std::iter::empty(), |account| {
        cache.wallet(account).map(|wallet| (wallet, false))
    });
    let unknown = debits
        .iter()
        .map(|debit| debit.account_id)
        .chain(refunded(settlements))
        .filter(|account| cache.wallet(*account).is_none());
    let short = deciding.round().doubted;
    short.into_iter().chain(unknown).collect()
}

fn refunded(settlements: &[Settlement]) -> impl Iterator<Item = AccountId> {
    settlements
        .iter()
        .filter(|s| s.refund)
        .map(|s| s.account_id)
}

async fn load_endpoints(
    transaction: &DatabaseTransaction,
    cache: &WalletCache,
    settlements: &[Settlement],
) -> Result<HashMap<AccountId, Vec<EndpointId>>, StoreError> {
    let unknown: HashSet<AccountId> = settlements
        .iter()
        .filter(|s| s.webhook_body.is_some() && cache.endpoints(s.account_id).is_none())
        .map(|s| s.account_id)
        .collect();
    statements::load_endpoints(transaction, &unknown).await
}

/// Which of `settlements` found their delivery `sent`. Of two for one delivery the first counts.
async fn settle(
    transaction: &DatabaseTransaction,
    node: &NodeEpoch,
    settlements: &[Settlement],
) -> Result<Vec<bool>, StoreError> {
    let mut seen = HashSet::with_capacity(settlements.len());
    let first: Vec<bool> = settlements
        .iter()
        .map(|s| seen.insert(s.delivery_id))
        .collect();
    let firsts = settlements
        .iter()
        .zip(&first)
        .filter(|(_, f)| **f)
        .map(|(s, _)| s);
    let found = statements::settle_deliveries(transaction, node, firsts).await?;
    Ok(settlements
        .iter()
        .zip(first)
        .map(|(s, first)| first && found.contains(&s.delivery_id))
        .collect())
}

/// Decides in one round and writes everything at once; counts the rows to see whether it held.
async fn write_boldly(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    deciding: &mut Deciding<'_>,
    ended: &[&Settlement],
) -> Result<(), Undone> {
    let round = deciding.round();
    if !round.doubted.is_empty() {
        return Err(Undone::Moved);
    }
    let mut script = Script::default();
    statements::push_windows(&mut script, batch.debits, &round.claims);
    deciding.close_round(round, &HashMap::new());
    // A second debit for a phone of this very batch has waited for the first one's claim.
    let rest = deciding.round();
    if !rest.claims.is_empty() || !rest.doubted.is_empty() {
        return Err(Undone::TooBold);
    }
    deciding.close_round(rest, &HashMap::new());
    statements::push_wallets(&mut script, &deciding.touched());
    push_records(&mut script, batch, deciding, ended);
    let expected = script.len();
    match script.execute(transaction).await? {
        written if written == expected => Ok(()),
        _ => Err(Undone::TooBold),
    }
}

/// Decides round after round, each on the windows that the one before has won.
async fn write(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    deciding: &mut Deciding<'_>,
    ended: &[&Settlement],
) -> Result<(), Undone> {
    while deciding.undecided() {
        let round = deciding.round();
        if !round.doubted.is_empty() {
            return Err(Undone::Moved);
        }
        let lost = statements::claim_windows(transaction, batch.debits, &round.claims).await?;
        deciding.close_round(round, &lost);
    }
    write_wallets(transaction, deciding).await?;
    let mut script = Script::default();
    push_records(&mut script, batch, deciding, ended);
    script.execute(transaction).await?;
    Ok(())
}

/// What follows from the decisions and can fail no more.
fn push_records(
    script: &mut Script,
    batch: &Batch<'_>,
    deciding: &Deciding<'_>,
    ended: &[&Settlement],
) {
    let posted: Vec<(&Debit, Parts)> = deciding.posted().collect();
    statements::push_deliveries(script, batch.node, &posted);
    statements::push_entries(script, &posted, ended);
    statements::push_call_attempts(script, ended);
}

/// Writes the touched wallets. Those that a command or another node moved are decided on again.
async fn write_wallets(
    transaction: &DatabaseTransaction,
    deciding: &mut Deciding<'_>,
) -> Result<(), Undone> {
    let moved = statements::write_wallets(transaction, &deciding.touched()).await?;
    if moved.is_empty() {
        return Ok(());
    }
    let fresh = statements::lock_wallets(transaction, &moved).await?;
    if !deciding.rebase(&fresh) {
        return Err(Undone::Moved);
    }
    let mut again = deciding.touched();
    again.retain(|account, _| moved.contains(account));
    match statements::write_wallets(transaction, &again)
        .await?
        .is_empty()
    {
        true => Ok(()),
        false => Err(Undone::Moved),
    }
}
